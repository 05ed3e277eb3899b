import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.atomic.LongAdder;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;

/**
 * Flink, tuned by hand: minutes and genres, hours and films, genres, and days with their sessions. SERVERS TOPIC EVENTS.
 *
 * <p>Counts the topic three times in one JVM, which is warm the last time. Sums are added up beside the source, types
 * have serializers of their own, objects are reused, parallelism is 2. Results are formatted and dropped.
 */
public final class FourAggregates {
  static final long MINUTE_MS = 60_000L;
  static final long HOUR_MS = 60 * MINUTE_MS;
  static final long DAY_MS = 24 * HOUR_MS;
  private static final int PASSES = 3;
  private static final int PARALLELISM = 2;
  private static final long CHECKPOINT_EVERY_MS = 10_000L;

  private static volatile boolean begun;
  private static volatile long lastResultNs;
  private static final LongAdder COUNTED = new LongAdder();

  private FourAggregates() {}

  /** The tasks run in this very JVM, so they can simply say so. */
  static void minuteIsDone(long views) {
    COUNTED.add(views);
    lastResultNs = System.nanoTime();
  }

  private static synchronized void begin() {
    if (!begun) {
      begun = true;
      System.out.println("{\"mark\": \"first\"}");
    }
  }

  private static final class Parse extends AbstractDeserializationSchema<View> {
    @Override
    public View deserialize(byte[] json) {
      if (!begun) {
        begin();
      }
      return View.parse(json);
    }

    @Override
    public TypeInformation<View> getProducedType() {
      return new View.Bytes().type();
    }
  }

  public static void main(String[] arguments) throws Exception {
    for (int pass = 1; pass <= PASSES; pass++) {
      begun = false;
      COUNTED.reset();
      run(arguments[0], arguments[1]);
      long events = Long.parseLong(arguments[2]);
      if (COUNTED.sum() < events) {
        throw new IllegalStateException("it has counted " + COUNTED.sum() + " of " + events);
      }
      double ago = (System.nanoTime() - lastResultNs) / 1e9;
      System.out.printf("{\"mark\": \"last\", \"events\": %d, \"ago_s\": %.3f}%n", COUNTED.sum(), ago);
    }
  }

  private static void run(String servers, String topic) throws Exception {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, configuration());
    env.getConfig().enableObjectReuse();
    env.setBufferTimeout(100);
    env.enableCheckpointing(CHECKPOINT_EVERY_MS);
    WatermarkStrategy<View> watermarks =
        WatermarkStrategy.<View>forBoundedOutOfOrderness(Duration.ofSeconds(5))
            .withTimestampAssigner((view, time) -> view.timestamp);
    DataStream<View> views = env.fromSource(source(servers, topic), watermarks, "views", new View.Bytes().type());
    SingleOutputStreamOperator<ByDay.Watched> local =
        views.transform("local", new ByDay.WatchedBytes().type(), new LocalSums());
    local
        .getSideOutput(LocalSums.MINUTES)
        .keyBy(part -> part.genre)
        .window(TumblingEventTimeWindows.of(Duration.ofMinutes(1)))
        .aggregate(
            new ByMinute.Add(),
            new ByMinute.Write(),
            new ByMinute.SumsBytes().type(),
            new ByMinute.SumsBytes().type(),
            Types.STRING)
        .sinkTo(new DiscardingSink<>());
    local
        .getSideOutput(LocalSums.HOURS)
        .keyBy(part -> part.film)
        .window(TumblingEventTimeWindows.of(Duration.ofHours(1)))
        .aggregate(
            new ByHour.Add(),
            new ByHour.Write(),
            new ByHour.SumsBytes().type(),
            new ByHour.SumsBytes().type(),
            Types.STRING)
        .sinkTo(new DiscardingSink<>());
    local
        .getSideOutput(LocalSums.GENRES)
        .keyBy(part -> part.genre)
        .process(new ByGenre.Add(), Types.STRING)
        .sinkTo(new DiscardingSink<>());
    local
        .keyBy(watched -> watched.user)
        .process(new ByDay.FollowUser(), new ByDay.DayBytes().type())
        .transform("local days", new ByDay.DayBytes().type(), new ByDay.LocalDays())
        .keyBy(day -> day.day)
        .process(new ByDay.Add(), Types.STRING)
        .sinkTo(new DiscardingSink<>());
    env.execute("four aggregates");
  }

  private static KafkaSource<View> source(String servers, String topic) {
    return KafkaSource.<View>builder()
        .setBootstrapServers(servers)
        .setTopics(topic)
        .setGroupId("peer-flink")
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setBounded(OffsetsInitializer.latest())
        .setValueOnlyDeserializer(new Parse())
        .setProperty("max.poll.records", "5000")
        .setProperty("commit.offsets.on.checkpoint", "false")
        .build();
  }

  private static Configuration configuration() {
    Configuration configuration = new Configuration();
    configuration.setString("pipeline.generic-types", "false");
    configuration.setString("state.backend.type", "hashmap");
    configuration.setString("execution.checkpointing.storage", "filesystem");
    configuration.setString("execution.checkpointing.dir", Path.of("checkpoints").toAbsolutePath().toUri().toString());
    return configuration;
  }
}
