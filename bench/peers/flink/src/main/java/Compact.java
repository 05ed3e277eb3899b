import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.function.Supplier;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.core.memory.DataOutputView;

/** A serializer written by hand: Flink's own, by reflection, take several times as long. */
public abstract class Compact<T> extends TypeSerializerSingleton<T> {
  /** A supplier that can be sent along. */
  interface Maker<T> extends Supplier<T>, Serializable {}

  private final Class<T> of;
  private final Maker<T> maker;
  private final Maker<TypeSerializer<T>> self;

  protected Compact(Class<T> of, Maker<T> maker, Maker<TypeSerializer<T>> self) {
    this.of = of;
    this.maker = maker;
    this.self = self;
  }

  static void write(String text, DataOutputView out) throws IOException {
    write(text == null ? new byte[0] : text.getBytes(StandardCharsets.UTF_8), out);
  }

  static String readString(DataInputView in) throws IOException {
    return new String(readBytes(in), StandardCharsets.UTF_8);
  }

  static void write(byte[] bytes, DataOutputView out) throws IOException {
    out.writeInt(bytes.length);
    out.write(bytes, 0, bytes.length);
  }

  static byte[] readBytes(DataInputView in) throws IOException {
    byte[] bytes = new byte[in.readInt()];
    in.readFully(bytes);
    return bytes;
  }

  @Override
  public T createInstance() {
    return maker.get();
  }

  /** Only where a checkpoint is taken while the state changes. */
  @Override
  public T copy(T from) {
    try {
      DataOutputSerializer out = new DataOutputSerializer(256);
      serialize(from, out);
      return deserialize(new DataInputDeserializer(out.getCopyOfBuffer()));
    } catch (IOException error) {
      throw new java.io.UncheckedIOException(error);
    }
  }

  @Override
  public T copy(T from, T reuse) {
    return copy(from);
  }

  @Override
  public void copy(DataInputView in, DataOutputView out) throws IOException {
    serialize(deserialize(in), out);
  }

  @Override
  public T deserialize(T reuse, DataInputView in) throws IOException {
    return deserialize(in);
  }

  @Override
  public boolean isImmutableType() {
    return false;
  }

  @Override
  public int getLength() {
    return -1;
  }

  @Override
  public TypeSerializerSnapshot<T> snapshotConfiguration() {
    return new Snapshot<>(self);
  }

  /** Written into checkpoints; they are never read by another version of this program. */
  public static final class Snapshot<T> extends SimpleTypeSerializerSnapshot<T> {
    Snapshot(Maker<TypeSerializer<T>> serializer) {
      super(serializer);
    }
  }

  /** What Flink wants to know of the type. */
  TypeInformation<T> type() {
    return new Type<>(of, this);
  }

  private static final class Type<T> extends TypeInformation<T> {
    private final Class<T> of;
    private final TypeSerializer<T> serializer;

    Type(Class<T> of, TypeSerializer<T> serializer) {
      this.of = of;
      this.serializer = serializer;
    }

    @Override
    public boolean isBasicType() {
      return false;
    }

    @Override
    public boolean isTupleType() {
      return false;
    }

    @Override
    public int getArity() {
      return 1;
    }

    @Override
    public int getTotalFields() {
      return 1;
    }

    @Override
    public Class<T> getTypeClass() {
      return of;
    }

    @Override
    public boolean isKeyType() {
      return false;
    }

    @Override
    public TypeSerializer<T> createSerializer(SerializerConfig config) {
      return serializer;
    }

    @Override
    public String toString() {
      return of.getSimpleName();
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Type<?> type && type.of == of;
    }

    @Override
    public int hashCode() {
      return of.hashCode();
    }

    @Override
    public boolean canEqual(Object other) {
      return other instanceof Type;
    }
  }
}
