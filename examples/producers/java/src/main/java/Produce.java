import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends a view of each of 60 users. The default partitioner is the one that is needed. */
public class Produce {
  record View(String movie_id, String title, String genre, String user_id, long timestamp, Double rating) {}

  public static void main(String[] arguments) throws Exception {
    String topic = System.getenv().getOrDefault("KAFKA_TOPIC", "movie-events");
    Map<String, Object> settings =
        Map.of("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"), "acks", "all");
    ObjectMapper json = new ObjectMapper();
    List<Future<RecordMetadata>> acknowledgements = new ArrayList<>();
    try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
      for (int number = 0; number < 60; number++) {
        View view =
            new View("tt0078748", "Alien", "Sci-Fi", "zoé_" + number, System.currentTimeMillis(), 4.5);
        acknowledgements.add(
            producer.send(new ProducerRecord<>(topic, view.user_id(), json.writeValueAsBytes(view))));
      }
      for (Future<RecordMetadata> acknowledgement : acknowledgements) {
        acknowledgement.get(); // throws if it was not written
      }
    }
    System.out.println("60 views are acknowledged");
  }
}
