import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/** One view, all seven fields. */
public final class View {
  String film;
  String title;
  String genre;
  String user;
  long timestamp;
  double rating;
  int duration;

  private static final JsonFactory JSON =
      JsonFactory.builder().enable(StreamReadFeature.USE_FAST_DOUBLE_PARSER).build();

  /** Reads it with Jackson's streaming parser, the fastest that a user would write. */
  static View parse(byte[] json) {
    View view = new View();
    try (JsonParser parser = JSON.createParser(json)) {
      parser.nextToken();
      String name;
      while ((name = parser.nextFieldName()) != null) {
        switch (name) {
          case "movie_id" -> view.film = parser.nextTextValue();
          case "title" -> view.title = parser.nextTextValue();
          case "genre" -> view.genre = parser.nextTextValue();
          case "user_id" -> view.user = parser.nextTextValue();
          case "timestamp" -> {
            parser.nextToken();
            view.timestamp = parser.getLongValue();
          }
          case "rating" -> {
            parser.nextToken();
            view.rating = parser.getDoubleValue();
          }
          case "duration" -> {
            parser.nextToken();
            view.duration = parser.getIntValue();
          }
          default -> {
            parser.nextToken();
            parser.skipChildren();
          }
        }
      }
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return view;
  }

  /** Never used between machines: what follows the source is chained to it. */
  public static final class Bytes extends Compact<View> {
    public Bytes() {
      super(View.class, View::new, Bytes::new);
    }

    @Override
    public void serialize(View view, DataOutputView out) throws IOException {
      write(view.film, out);
      write(view.title, out);
      write(view.genre, out);
      write(view.user, out);
      out.writeLong(view.timestamp);
      out.writeDouble(view.rating);
      out.writeInt(view.duration);
    }

    @Override
    public View deserialize(DataInputView in) throws IOException {
      View view = new View();
      view.film = readString(in);
      view.title = readString(in);
      view.genre = readString(in);
      view.user = readString(in);
      view.timestamp = in.readLong();
      view.rating = in.readDouble();
      view.duration = in.readInt();
      return view;
    }
  }
}
