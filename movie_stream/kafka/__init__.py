"""Kafka: the topics, the logs behind the tables, and the transport that hands whole chunks to Faust's agents."""
