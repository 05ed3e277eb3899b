import java.io.IOException;
import java.util.Arrays;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.Union;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** The third aggregate: each genre since ever, with its views by hour of the day; a line a second at most. */
final class ByGenre {
  private static final int HOURS = 24;

  private ByGenre() {}

  /** What one source task has seen of a genre since it sent the last part. */
  public static final class Part {
    String genre;
    long views;
    double ratings;
    long[] hours = new long[HOURS];
    byte[] userBytes;
    byte[] filmBytes;
    transient HllSketch users;
    transient HllSketch films;

    static Part of(String genre) {
      Part part = new Part();
      part.genre = genre;
      part.users = Sketch.fresh();
      part.films = Sketch.fresh();
      return part;
    }

    void add(View view) {
      views++;
      ratings += view.rating;
      hours[(int) (Math.floorMod(view.timestamp, FourAggregates.DAY_MS) / FourAggregates.HOUR_MS)]++;
      users.update(view.user);
      films.update(view.film);
    }
  }

  public static final class PartBytes extends Compact<Part> {
    public PartBytes() {
      super(Part.class, Part::new, PartBytes::new);
    }

    @Override
    public void serialize(Part part, DataOutputView out) throws IOException {
      write(part.genre, out);
      out.writeLong(part.views);
      out.writeDouble(part.ratings);
      for (long hour : part.hours) {
        out.writeLong(hour);
      }
      write(part.userBytes, out);
      write(part.filmBytes, out);
    }

    @Override
    public Part deserialize(DataInputView in) throws IOException {
      Part part = new Part();
      part.genre = readString(in);
      part.views = in.readLong();
      part.ratings = in.readDouble();
      for (int hour = 0; hour < HOURS; hour++) {
        part.hours[hour] = in.readLong();
      }
      part.userBytes = readBytes(in);
      part.filmBytes = readBytes(in);
      return part;
    }
  }

  public static final class Sums {
    long views;
    double ratings;
    long[] hours = new long[HOURS];
    Union users = Sketch.union();
    Union films = Sketch.union();
    boolean changed;

    void add(Part part) {
      views += part.views;
      ratings += part.ratings;
      for (int hour = 0; hour < HOURS; hour++) {
        hours[hour] += part.hours[hour];
      }
      users.update(Sketch.of(part.userBytes));
      films.update(Sketch.of(part.filmBytes));
    }
  }

  public static final class SumsBytes extends Compact<Sums> {
    public SumsBytes() {
      super(Sums.class, Sums::new, SumsBytes::new);
    }

    @Override
    public void serialize(Sums sums, DataOutputView out) throws IOException {
      out.writeLong(sums.views);
      out.writeDouble(sums.ratings);
      out.writeBoolean(sums.changed);
      for (long hour : sums.hours) {
        out.writeLong(hour);
      }
      write(sums.users.toCompactByteArray(), out);
      write(sums.films.toCompactByteArray(), out);
    }

    @Override
    public Sums deserialize(DataInputView in) throws IOException {
      Sums sums = new Sums();
      sums.views = in.readLong();
      sums.ratings = in.readDouble();
      sums.changed = in.readBoolean();
      for (int hour = 0; hour < HOURS; hour++) {
        sums.hours[hour] = in.readLong();
      }
      sums.users = Union.heapify(readBytes(in));
      sums.films = Union.heapify(readBytes(in));
      return sums;
    }
  }

  static final class Add extends KeyedProcessFunction<String, Part, String> {
    private transient ValueState<Sums> state;

    @Override
    public void open(OpenContext context) {
      state = getRuntimeContext().getState(new ValueStateDescriptor<>("genre", new SumsBytes().type()));
    }

    @Override
    public void processElement(Part part, Context context, Collector<String> out) throws Exception {
      Sums sums = state.value();
      if (sums == null) {
        sums = new Sums();
        context.timerService().registerEventTimeTimer(Long.MAX_VALUE);
      }
      sums.add(part);
      if (!sums.changed) {
        sums.changed = true;
        long nextSecond = (System.currentTimeMillis() / 1_000 + 1) * 1_000;
        context.timerService().registerProcessingTimeTimer(nextSecond);
      }
      state.update(sums);
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<String> out) throws Exception {
      Sums sums = state.value();
      sums.changed = false;
      state.update(sums);
      long users = Math.round(sums.users.getEstimate());
      long films = Math.round(sums.films.getEstimate());
      out.collect(
          context.getCurrentKey() + " " + sums.views + " " + sums.ratings + " " + users + " " + films + " "
              + Arrays.toString(sums.hours));
    }
  }
}
