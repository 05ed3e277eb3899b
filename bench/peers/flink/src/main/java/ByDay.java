import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.Collector;

/** The fourth aggregate: each day's users, those that are new, and the length of their sessions. */
final class ByDay {
  private static final long SESSION_GAP_MS = 30 * FourAggregates.MINUTE_MS;

  private ByDay() {}

  /** What the sessions need of a view: it is sent to whoever has the user. */
  public static final class Watched {
    String user;
    long timestamp;
    int duration;
  }

  public static final class WatchedBytes extends Compact<Watched> {
    public WatchedBytes() {
      super(Watched.class, Watched::new, WatchedBytes::new);
    }

    @Override
    public void serialize(Watched watched, DataOutputView out) throws IOException {
      write(watched.user, out);
      out.writeLong(watched.timestamp);
      out.writeInt(watched.duration);
    }

    @Override
    public Watched deserialize(DataInputView in) throws IOException {
      Watched watched = new Watched();
      watched.user = readString(in);
      watched.timestamp = in.readLong();
      watched.duration = in.readInt();
      return watched;
    }
  }

  /** A user: first view, current session, and the days with views (a bit each, modulo 64). */
  public static final class User {
    long first;
    long start;
    long end;
    long days;
  }

  public static final class UserBytes extends Compact<User> {
    public UserBytes() {
      super(User.class, User::new, UserBytes::new);
    }

    @Override
    public void serialize(User user, DataOutputView out) throws IOException {
      out.writeLong(user.first);
      out.writeLong(user.start);
      out.writeLong(user.end);
      out.writeLong(user.days);
    }

    @Override
    public User deserialize(DataInputView in) throws IOException {
      User user = new User();
      user.first = in.readLong();
      user.start = in.readLong();
      user.end = in.readLong();
      user.days = in.readLong();
      return user;
    }
  }

  /** What a day gains, and the day itself. */
  public static final class Day {
    long day;
    long views;
    long users;
    long newUsers;
    long sessionMs;

    void add(Day more) {
      views += more.views;
      users += more.users;
      newUsers += more.newUsers;
      sessionMs += more.sessionMs;
    }
  }

  public static final class DayBytes extends Compact<Day> {
    public DayBytes() {
      super(Day.class, Day::new, DayBytes::new);
    }

    @Override
    public void serialize(Day day, DataOutputView out) throws IOException {
      out.writeLong(day.day);
      out.writeLong(day.views);
      out.writeLong(day.users);
      out.writeLong(day.newUsers);
      out.writeLong(day.sessionMs);
    }

    @Override
    public Day deserialize(DataInputView in) throws IOException {
      Day day = new Day();
      day.day = in.readLong();
      day.views = in.readLong();
      day.users = in.readLong();
      day.newUsers = in.readLong();
      day.sessionMs = in.readLong();
      return day;
    }
  }

  /** Follows each user, and tells what that adds to the days. */
  static final class FollowUser extends KeyedProcessFunction<String, Watched, Day> {
    private transient ValueState<User> state;
    private transient Day reused;

    @Override
    public void open(OpenContext context) {
      state = getRuntimeContext().getState(new ValueStateDescriptor<>("user", new UserBytes().type()));
      reused = new Day();
    }

    @Override
    public void processElement(Watched watched, Context context, Collector<Day> out) throws Exception {
      User user = state.value();
      long time = watched.timestamp;
      long end = time + watched.duration * 1_000L;
      long day = Math.floorDiv(time, FourAggregates.DAY_MS);
      long bit = 1L << (day & 63);
      if (user == null) {
        user = new User();
        user.first = user.start = time;
        user.end = end;
        user.days = bit;
        state.update(user);
        tell(day, 1, 1, 1, end - time, out);
        return;
      }
      long users = (user.days & bit) == 0 ? 1 : 0;
      user.days |= bit;
      long newUsers = earlier(user, time, day, out);
      long sessionDay = Math.floorDiv(user.start, FourAggregates.DAY_MS);
      long gained;
      if (time > user.end + SESSION_GAP_MS) {
        user.start = time;
        user.end = end;
        gained = end - time;
        sessionDay = day;
      } else {
        gained = lengthened(user, time, end);
      }
      state.update(user);
      if (sessionDay == day) {
        tell(day, 1, users, newUsers, gained, out);
      } else {
        tell(day, 1, users, newUsers, 0, out);
        if (gained != 0) {
          tell(sessionDay, 0, 0, 0, gained, out);
        }
      }
    }

    /** A view before the first one that was known may make the user new on another day. */
    private long earlier(User user, long time, long day, Collector<Day> out) {
      if (time >= user.first) {
        return 0;
      }
      long before = Math.floorDiv(user.first, FourAggregates.DAY_MS);
      user.first = time;
      if (before == day) {
        return 0;
      }
      tell(before, 0, 0, -1, 0, out);
      return 1;
    }

    /** By how much the session of the user becomes longer. */
    private static long lengthened(User user, long time, long end) {
      long gained = 0;
      if (end > user.end) {
        gained = end - user.end;
        user.end = end;
      }
      if (time < user.start) {
        if (end + SESSION_GAP_MS < user.start) {
          return gained + end - time;
        }
        gained += user.start - time;
        user.start = time;
      }
      return gained;
    }

    private void tell(long day, long views, long users, long newUsers, long sessionMs, Collector<Day> out) {
      reused.day = day;
      reused.views = views;
      reused.users = users;
      reused.newUsers = newUsers;
      reused.sessionMs = sessionMs;
      out.collect(reused);
    }
  }

  /** Chained to the former: adds up what days gain, and sends it with watermarks and before checkpoints. */
  static final class LocalDays extends AbstractStreamOperator<Day> implements OneInputStreamOperator<Day, Day> {
    private transient Map<Long, Day> days;

    @Override
    public void open() throws Exception {
      super.open();
      days = new HashMap<>();
    }

    @Override
    public void processElement(StreamRecord<Day> record) {
      Day gain = record.getValue();
      Day day = days.get(gain.day);
      if (day == null) {
        day = new Day();
        day.day = gain.day;
        days.put(gain.day, day);
      }
      day.add(gain);
    }

    @Override
    public void processWatermark(Watermark watermark) throws Exception {
      send();
      super.processWatermark(watermark);
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpoint) {
      send();
    }

    @Override
    public void finish() throws Exception {
      send();
      super.finish();
    }

    private void send() {
      for (Day day : days.values()) {
        output.collect(new StreamRecord<>(day, day.day * FourAggregates.DAY_MS));
      }
      days.clear();
    }
  }

  static final class Add extends KeyedProcessFunction<Long, Day, String> {
    private transient ValueState<Day> state;

    @Override
    public void open(OpenContext context) {
      state = getRuntimeContext().getState(new ValueStateDescriptor<>("day", new DayBytes().type()));
    }

    @Override
    public void processElement(Day gain, Context context, Collector<String> out) throws Exception {
      Day day = state.value();
      if (day == null) {
        day = new Day();
        day.day = gain.day;
      }
      day.add(gain);
      state.update(day);
      out.collect(day.day + " " + day.users + " " + day.newUsers + " " + day.sessionMs + " " + day.views);
    }
  }
}
