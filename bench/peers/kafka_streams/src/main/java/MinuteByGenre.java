import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams: views grouped by genre, in windows of a minute. SERVERS TOPIC EVENTS.
 *
 * <p>Counts the topic three times in one JVM, which is warm the last time. Tuned: two threads, a store in memory with a
 * cache, large batches, a compact form for what is grouped anew.
 */
public final class MinuteByGenre {
  private static final int PASSES = 3;
  private static final int THREADS = 2;
  private static final Duration MINUTE = Duration.ofMinutes(1);
  /** As long as the topic is, so that nothing is late: partitions are read at different speeds. */
  private static final Duration GRACE = Duration.ofMinutes(180);

  private final String servers;
  private final String topic;
  private final long events;
  private final String name;
  private final LongAdder read = new LongAdder();
  private final LongAdder counted = new LongAdder();

  private MinuteByGenre(String servers, String topic, long events, int pass) {
    this.servers = servers;
    this.topic = topic;
    this.events = events;
    this.name = "peer-streams-" + ProcessHandle.current().pid() + "-" + pass;
  }

  public static void main(String[] arguments) throws Exception {
    for (int pass = 1; pass <= PASSES; pass++) {
      new MinuteByGenre(arguments[0], arguments[1], Long.parseLong(arguments[2]), pass).run();
    }
  }

  private void run() throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
      admin.createTopics(List.of(new NewTopic(name + "-out", 3, (short) 1))).all().get();
      try (KafkaStreams streams = new KafkaStreams(topology().build(), properties())) {
        streams.setUncaughtExceptionHandler(
            error -> {
              error.printStackTrace();
              return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
            });
        streams.start();
        while (read.sum() == 0) {
          Thread.sleep(1);
        }
        System.out.println("{\"mark\": \"first\"}");
        while (counted.sum() < events) {
          if (!streams.state().isRunningOrRebalancing()) {
            throw new IllegalStateException("it has stopped: " + streams.state());
          }
          Thread.sleep(10);
        }
        System.out.printf("{\"mark\": \"last\", \"events\": %d}%n", counted.sum());
        streams.close(Duration.ofSeconds(20));
        streams.cleanUp();
      }
      remove(admin);
    }
  }

  private StreamsBuilder topology() {
    StreamsBuilder builder = new StreamsBuilder();
    Serde<View> json =
        Serdes.serdeFrom(
            (of, view) -> {
              throw new UnsupportedOperationException();
            },
            (of, bytes) -> {
              read.increment();
              return View.parse(bytes);
            });
    var store = Stores.inMemoryWindowStore("sums", GRACE.plus(MINUTE), MINUTE, false);
    builder.stream(
            topic,
            Consumed.with(Serdes.ByteArray(), json)
                .withTimestampExtractor((record, partition) -> ((View) record.value()).timestamp))
        .groupBy((user, view) -> view.genre, Grouped.with(Serdes.String(), compact()))
        .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, GRACE))
        .aggregate(
            Sums::fresh,
            (genre, view, sums) -> {
              counted.increment();
              return Sums.add(sums, view);
            },
            Materialized.<String, byte[]>as(store)
                .withKeySerde(Serdes.String())
                .withValueSerde(Serdes.ByteArray())
                .withCachingEnabled())
        .toStream()
        .map((at, sums) -> KeyValue.pair(at.key(), Sums.line(at.window().start(), sums)))
        .to(name + "-out", Produced.with(Serdes.String(), Serdes.String()));
    return builder;
  }

  /** How a view goes through the topic that groups it by genre: rating, duration, user. */
  private static Serde<View> compact() {
    return Serdes.serdeFrom(
        (of, view) -> {
          byte[] user = view.user.getBytes(StandardCharsets.UTF_8);
          return ByteBuffer.allocate(12 + user.length)
              .putDouble(view.rating)
              .putInt(view.duration)
              .put(user)
              .array();
        },
        (of, bytes) -> {
          ByteBuffer buffer = ByteBuffer.wrap(bytes);
          View view = new View();
          view.rating = buffer.getDouble();
          view.duration = buffer.getInt();
          view.user = new String(bytes, 12, bytes.length - 12, StandardCharsets.UTF_8);
          return view;
        });
  }

  private Properties properties() {
    Properties properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, name);
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
    properties.put(StreamsConfig.STATE_DIR_CONFIG, "state");
    properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, THREADS);
    properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
    properties.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
    properties.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
    properties.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    properties.put(StreamsConfig.consumerPrefix("max.poll.records"), 5_000);
    properties.put(StreamsConfig.producerPrefix("batch.size"), 1 << 17);
    properties.put(StreamsConfig.producerPrefix("linger.ms"), 20);
    properties.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
    properties.put(StreamsConfig.producerPrefix("buffer.memory"), 64L << 20);
    return properties;
  }

  /** Removes the topics that this pass has made. */
  private void remove(Admin admin) throws InterruptedException, ExecutionException {
    List<String> made =
        admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get().stream()
            .filter(one -> one.startsWith(name))
            .toList();
    admin.deleteTopics(made).all().get();
  }
}
