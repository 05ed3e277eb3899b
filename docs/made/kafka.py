"""What Kafka has to allow."""

from __future__ import annotations

from docs.made.markdown import table
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.settings import Settings


def acls() -> str:
    """What Kafka has to allow whom, with the default names."""
    names, group = Topics.of(Settings()), f"`{Settings().kafka_group}`"
    operations = {topic: [*names.needs[topic], *["Delete"] * (topic in names.deleted)] for topic in names.needs}
    rows = [("a worker, `rebuild`, `doctor`", "Read", f"group {group}")]
    rows += [("the same", ", ".join(words), f"topic `{topic}`") for topic, words in operations.items()]
    rows.append(("`dead-letters`, additionally", "Read", f"topic `{names.dead_letters}`"))
    rows.append(("a producer, `produce`, `dead-letters replay`", "Write", f"topic `{names.events}`"))
    rows.append(("`produce --resume`", "Read, Write", f"topic `{names.events}`"))
    rows += [
        ("`worker`, where topics take small records", "DescribeConfigs", f"topic `{topic}`") for topic in names.written
    ]
    rows += [("`init`", "Create, DescribeConfigs", f"topic `{topic}`") for topic in names.all]
    rows.append(("`init`, to raise its `max.message.bytes`", "AlterConfigs", f"topic `{names.dead_letters}`"))
    rows += [("`init`, to say whose it is", "Read, Write", f"topic `{topic}`") for topic in names.deleted]
    rows += [("`doctor`, to look at retention", "DescribeConfigs", f"topic `{topic}`") for topic in names.counted]
    rows.append(("`doctor`, to compare the broker's clock", "Describe", "the cluster"))
    return table(("who", "operations", "on"), rows)
