// Sends a view of each of 60 users. The default partitioner of franz-go is the one that is needed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// View has the fields of a view; those that may be null are pointers.
type View struct {
	MovieID   string   `json:"movie_id"`
	Title     string   `json:"title"`
	Genre     string   `json:"genre"`
	UserID    string   `json:"user_id"`
	Timestamp int64    `json:"timestamp"`
	Rating    *float64 `json:"rating"`
}

func main() {
	topic := os.Getenv("KAFKA_TOPIC")
	if topic == "" {
		topic = "movie-events"
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BOOTSTRAP_SERVERS"), ",")...),
		kgo.DefaultProduceTopic(topic),
		kgo.MaxVersions(kversion.V3_8_0()), // the broker of movie-stream services knows no newer requests
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	rating := 4.5
	var records []*kgo.Record
	for number := range 60 {
		user := fmt.Sprintf("zoé_%d", number)
		view := View{"tt0078748", "Alien", "Sci-Fi", user, time.Now().UnixMilli(), &rating}
		value, err := json.Marshal(view)
		if err != nil {
			log.Fatal(err)
		}
		records = append(records, &kgo.Record{Key: []byte(user), Value: value})
	}
	if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("60 views are acknowledged")
}
