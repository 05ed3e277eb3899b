import java.io.IOException;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** The second aggregate: each hour and film. */
final class ByHour {
  private ByHour() {}

  /** A part of the sums, and the sums themselves. */
  public static final class Sums {
    String film;
    String title;
    long views;
    long newest = Long.MIN_VALUE;
    double ratings;

    static Sums of(String film) {
      Sums sums = new Sums();
      sums.film = film;
      return sums;
    }

    void add(View view) {
      views++;
      ratings += view.rating;
      if (view.timestamp >= newest) {
        newest = view.timestamp;
        title = view.title;
      }
    }

    void add(Sums part) {
      views += part.views;
      ratings += part.ratings;
      if (part.newest >= newest) {
        newest = part.newest;
        title = part.title;
      }
    }
  }

  public static final class SumsBytes extends Compact<Sums> {
    public SumsBytes() {
      super(Sums.class, Sums::new, SumsBytes::new);
    }

    @Override
    public void serialize(Sums sums, DataOutputView out) throws IOException {
      write(sums.film, out);
      write(sums.title, out);
      out.writeLong(sums.views);
      out.writeLong(sums.newest);
      out.writeDouble(sums.ratings);
    }

    @Override
    public Sums deserialize(DataInputView in) throws IOException {
      Sums sums = new Sums();
      sums.film = readString(in);
      sums.title = readString(in);
      sums.views = in.readLong();
      sums.newest = in.readLong();
      sums.ratings = in.readDouble();
      return sums;
    }
  }

  static final class Add implements AggregateFunction<Sums, Sums, Sums> {
    @Override
    public Sums createAccumulator() {
      return new Sums();
    }

    @Override
    public Sums add(Sums part, Sums sums) {
      sums.add(part);
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
    public void process(String film, Context context, Iterable<Sums> all, Collector<String> out) {
      Sums sums = all.iterator().next();
      out.collect(context.window().getStart() + " " + film + " " + sums.views + " " + sums.ratings + " " + sums.title);
    }
  }
}
