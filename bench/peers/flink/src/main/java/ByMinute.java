import java.io.IOException;
import java.util.Locale;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.Union;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** The first aggregate: each minute and genre. */
final class ByMinute {
  private ByMinute() {}

  /** What one source task has seen of a minute and genre; `bytes` is the sketch once it is sent on. */
  public static final class Part {
    String genre;
    long views;
    long minutes;
    double ratings;
    double most = Double.NEGATIVE_INFINITY;
    double least = Double.POSITIVE_INFINITY;
    byte[] bytes;
    transient HllSketch users;

    static Part of(String genre) {
      Part part = new Part();
      part.genre = genre;
      part.users = Sketch.fresh();
      return part;
    }

    void add(View view) {
      views++;
      minutes += view.duration;
      ratings += view.rating;
      most = Math.max(most, view.rating);
      least = Math.min(least, view.rating);
      users.update(view.user);
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
      out.writeLong(part.minutes);
      out.writeDouble(part.ratings);
      out.writeDouble(part.most);
      out.writeDouble(part.least);
      write(part.bytes, out);
    }

    @Override
    public Part deserialize(DataInputView in) throws IOException {
      Part part = new Part();
      part.genre = readString(in);
      part.views = in.readLong();
      part.minutes = in.readLong();
      part.ratings = in.readDouble();
      part.most = in.readDouble();
      part.least = in.readDouble();
      part.bytes = readBytes(in);
      return part;
    }
  }

  public static final class Sums {
    long views;
    long minutes;
    double ratings;
    double most = Double.NEGATIVE_INFINITY;
    double least = Double.POSITIVE_INFINITY;
    Union users = Sketch.union();
  }

  public static final class SumsBytes extends Compact<Sums> {
    public SumsBytes() {
      super(Sums.class, Sums::new, SumsBytes::new);
    }

    @Override
    public void serialize(Sums sums, DataOutputView out) throws IOException {
      out.writeLong(sums.views);
      out.writeLong(sums.minutes);
      out.writeDouble(sums.ratings);
      out.writeDouble(sums.most);
      out.writeDouble(sums.least);
      write(sums.users.toCompactByteArray(), out);
    }

    @Override
    public Sums deserialize(DataInputView in) throws IOException {
      Sums sums = new Sums();
      sums.views = in.readLong();
      sums.minutes = in.readLong();
      sums.ratings = in.readDouble();
      sums.most = in.readDouble();
      sums.least = in.readDouble();
      sums.users = Union.heapify(readBytes(in));
      return sums;
    }
  }

  static final class Add implements AggregateFunction<Part, Sums, Sums> {
    @Override
    public Sums createAccumulator() {
      return new Sums();
    }

    @Override
    public Sums add(Part part, Sums sums) {
      sums.views += part.views;
      sums.minutes += part.minutes;
      sums.ratings += part.ratings;
      sums.most = Math.max(sums.most, part.most);
      sums.least = Math.min(sums.least, part.least);
      sums.users.update(Sketch.of(part.bytes));
      return sums;
    }

    @Override
    public Sums getResult(Sums sums) {
      return sums;
    }

    @Override
    public Sums merge(Sums one, Sums other) {
      throw new UnsupportedOperationException("only session windows merge");
    }
  }

  static final class Write extends ProcessWindowFunction<Sums, String, String, TimeWindow> {
    @Override
    public void process(String genre, Context context, Iterable<Sums> all, Collector<String> out) {
      Sums sums = all.iterator().next();
      long start = context.window().getStart();
      double users = sums.users.getEstimate();
      String line =
          String.format(
              Locale.ROOT,
              "%d %s %d %.3f %.2f %.2f %d %.0f",
              start, genre, sums.views, sums.ratings, sums.most, sums.least, sums.minutes, users);
      FourAggregates.minuteIsDone(sums.views);
      out.collect(line);
    }
  }
}
