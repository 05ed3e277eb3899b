import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.TgtHllType;
import org.apache.datasketches.hll.Union;
import org.apache.datasketches.memory.Memory;

/** Numbers of distinct users and films: HyperLogLog, 2,048 registers. */
final class Sketch {
  private static final int LOG2_REGISTERS = 11;

  private Sketch() {}

  static HllSketch fresh() {
    return new HllSketch(LOG2_REGISTERS, TgtHllType.HLL_8);
  }

  static HllSketch of(byte[] bytes) {
    return HllSketch.wrap(Memory.wrap(bytes));
  }

  static Union union() {
    return new Union(LOG2_REGISTERS);
  }
}
