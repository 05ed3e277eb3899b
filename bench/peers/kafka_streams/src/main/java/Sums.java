import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Locale;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.TgtHllType;
import org.apache.datasketches.memory.WritableMemory;

/**
 * What is kept of one minute and genre, as the bytes that the store holds, changed in place: views, sum, greatest and
 * least of the ratings, sum of the durations (8 bytes each), then a sketch of the users.
 */
final class Sums {
  private static final int VIEWS = 0, RATINGS = 8, MOST = 16, LEAST = 24, MINUTES = 32, SKETCH = 40;
  private static final int LOG2_REGISTERS = 11;
  private static final int SKETCH_BYTES =
      HllSketch.getMaxUpdatableSerializationBytes(LOG2_REGISTERS, TgtHllType.HLL_8);
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle DOUBLE =
      MethodHandles.byteArrayViewVarHandle(double[].class, ByteOrder.LITTLE_ENDIAN);
  private static final byte[] EMPTY = empty();

  private Sums() {}

  private static byte[] empty() {
    byte[] sums = new byte[SKETCH + SKETCH_BYTES];
    DOUBLE.set(sums, MOST, Double.NEGATIVE_INFINITY);
    DOUBLE.set(sums, LEAST, Double.POSITIVE_INFINITY);
    new HllSketch(LOG2_REGISTERS, TgtHllType.HLL_8, region(sums));
    return sums;
  }

  static byte[] fresh() {
    return EMPTY.clone();
  }

  static byte[] add(byte[] sums, View view) {
    LONG.set(sums, VIEWS, (long) LONG.get(sums, VIEWS) + 1L);
    DOUBLE.set(sums, RATINGS, (double) DOUBLE.get(sums, RATINGS) + view.rating);
    DOUBLE.set(sums, MOST, Math.max((double) DOUBLE.get(sums, MOST), view.rating));
    DOUBLE.set(sums, LEAST, Math.min((double) DOUBLE.get(sums, LEAST), view.rating));
    LONG.set(sums, MINUTES, (long) LONG.get(sums, MINUTES) + (long) view.duration);
    HllSketch.writableWrap(region(sums)).update(view.user);
    return sums;
  }

  /** As a line, for the topic of results. */
  static String line(long windowStart, byte[] sums) {
    return String.format(
        Locale.ROOT,
        "%d %d %.3f %.2f %.2f %d %.0f",
        windowStart,
        (long) LONG.get(sums, VIEWS),
        (double) DOUBLE.get(sums, RATINGS),
        (double) DOUBLE.get(sums, MOST),
        (double) DOUBLE.get(sums, LEAST),
        (long) LONG.get(sums, MINUTES),
        HllSketch.writableWrap(region(sums)).getEstimate());
  }

  private static WritableMemory region(byte[] sums) {
    return WritableMemory.writableWrap(sums).writableRegion(SKETCH, SKETCH_BYTES);
  }
}
