import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A plain consumer whose group has the broker share out the partitions: servers, topic, group, and its own name. */
public final class Consume {
    public static void main(String[] arguments) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        properties.put("group.id", arguments[2]);
        properties.put("client.id", arguments[3]);
        properties.put("group.protocol", "consumer");
        properties.put("auto.offset.reset", "earliest");
        var bytes = new ByteArrayDeserializer();
        try (var consumer = new KafkaConsumer<>(properties, bytes, bytes)) {
            consumer.subscribe(List.of(arguments[1]));
            for (boolean told = false; true; ) {
                consumer.poll(Duration.ofMillis(100));
                if (!told && !consumer.assignment().isEmpty()) {
                    System.out.println("given " + consumer.assignment());
                    told = true;
                }
            }
        }
    }
}
