import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.OutputTag;

/**
 * Chained to the source: adds up minutes, hours and genres beside it, so that only sums are sent on.
 *
 * <p>It holds nothing over a checkpoint: before each barrier everything goes, as in the local aggregate of Flink SQL's
 * mini-batches. Its main output is what the sessions need of each view.
 */
final class LocalSums extends AbstractStreamOperator<ByDay.Watched>
    implements OneInputStreamOperator<View, ByDay.Watched> {
  static final OutputTag<ByMinute.Part> MINUTES = new OutputTag<>("minutes", new ByMinute.PartBytes().type());
  static final OutputTag<ByHour.Sums> HOURS = new OutputTag<>("hours", new ByHour.SumsBytes().type());
  static final OutputTag<ByGenre.Part> GENRES = new OutputTag<>("genres", new ByGenre.PartBytes().type());
  private static final long GENRES_EVERY_NS = 1_000_000_000L;

  private transient Map<Long, Map<String, ByMinute.Part>> minutes;
  private transient Map<Long, Map<String, ByHour.Sums>> hours;
  private transient Map<String, ByGenre.Part> genres;
  /** The maps of the minute and hour of the last view: neighbours are mostly of the same. */
  private transient Map<String, ByMinute.Part> thisMinute;
  private transient Map<String, ByHour.Sums> thisHour;
  private transient long minute;
  private transient long hour;
  private transient long genresSentNs;
  private transient StreamRecord<ByDay.Watched> reused;

  @Override
  public void open() throws Exception {
    super.open();
    minutes = new HashMap<>();
    hours = new HashMap<>();
    genres = new HashMap<>();
    reused = new StreamRecord<>(new ByDay.Watched());
  }

  @Override
  public void processElement(StreamRecord<View> record) {
    View view = record.getValue();
    long ofMinute = view.timestamp - Math.floorMod(view.timestamp, FourAggregates.MINUTE_MS);
    if (thisMinute == null || ofMinute != minute) {
      minute = ofMinute;
      thisMinute = minutes.computeIfAbsent(ofMinute, start -> new HashMap<>());
    }
    thisMinute.computeIfAbsent(view.genre, ByMinute.Part::of).add(view);
    long ofHour = view.timestamp - Math.floorMod(view.timestamp, FourAggregates.HOUR_MS);
    if (thisHour == null || ofHour != hour) {
      hour = ofHour;
      thisHour = hours.computeIfAbsent(ofHour, start -> new HashMap<>());
    }
    thisHour.computeIfAbsent(view.film, ByHour.Sums::of).add(view);
    genres.computeIfAbsent(view.genre, ByGenre.Part::of).add(view);

    ByDay.Watched watched = reused.getValue();
    watched.user = view.user;
    watched.timestamp = view.timestamp;
    watched.duration = view.duration;
    output.collect(reused.replace(watched, view.timestamp));
  }

  @Override
  public void processWatermark(Watermark watermark) throws Exception {
    sendMinutes(watermark.getTimestamp());
    sendHours(watermark.getTimestamp());
    if (watermark.getTimestamp() == Long.MAX_VALUE || System.nanoTime() - genresSentNs > GENRES_EVERY_NS) {
      sendGenres();
    }
    super.processWatermark(watermark);
  }

  @Override
  public void prepareSnapshotPreBarrier(long checkpoint) {
    sendMinutes(Long.MAX_VALUE);
    sendHours(Long.MAX_VALUE);
    sendGenres();
  }

  @Override
  public void finish() throws Exception {
    prepareSnapshotPreBarrier(0);
    super.finish();
  }

  private void sendMinutes(long upTo) {
    for (var entries = minutes.entrySet().iterator(); entries.hasNext(); ) {
      Map.Entry<Long, Map<String, ByMinute.Part>> entry = entries.next();
      if (isOver(entry.getKey(), FourAggregates.MINUTE_MS, upTo)) {
        for (ByMinute.Part part : entry.getValue().values()) {
          part.bytes = part.users.toCompactByteArray();
          output.collect(MINUTES, new StreamRecord<>(part, entry.getKey()));
        }
        entries.remove();
        thisMinute = null;
      }
    }
  }

  private void sendHours(long upTo) {
    for (Iterator<Map.Entry<Long, Map<String, ByHour.Sums>>> entries = hours.entrySet().iterator();
        entries.hasNext(); ) {
      Map.Entry<Long, Map<String, ByHour.Sums>> entry = entries.next();
      if (isOver(entry.getKey(), FourAggregates.HOUR_MS, upTo)) {
        for (ByHour.Sums sums : entry.getValue().values()) {
          output.collect(HOURS, new StreamRecord<>(sums, entry.getKey()));
        }
        entries.remove();
        thisHour = null;
      }
    }
  }

  private void sendGenres() {
    for (ByGenre.Part part : genres.values()) {
      part.userBytes = part.users.toCompactByteArray();
      part.filmBytes = part.films.toCompactByteArray();
      output.collect(GENRES, new StreamRecord<>(part, 0L));
    }
    genres.clear();
    genresSentNs = System.nanoTime();
  }

  private static boolean isOver(long start, long length, long upTo) {
    return upTo == Long.MAX_VALUE || start + length - 1 <= upTo;
  }
}
