// Sends a view of each of 60 users. Since version 2, the default partitioner of kafkajs is the one that is needed.
import { Kafka, Partitioners } from "kafkajs";

const kafka = new Kafka({ brokers: process.env.KAFKA_BOOTSTRAP_SERVERS.split(",") });
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
const messages = Array.from({ length: 60 }, (_, number) => {
  const view = {
    movie_id: "tt0078748",
    title: "Alien",
    genre: "Sci-Fi",
    user_id: `zoé_${number}`,
    timestamp: Date.now(),
    rating: 4.5,
  };
  return { key: view.user_id, value: JSON.stringify(view) };
});

await producer.connect();
try {
  await producer.send({ topic: process.env.KAFKA_TOPIC ?? "movie-events", acks: -1, messages });
  console.log("60 views are acknowledged");
} finally {
  await producer.disconnect();
}
