// Package dialect is how clients of several brokers speak, as far as the loads of test/bench need it: greeting, publishing,
// subscribing and reading what is delivered. It keeps bytes apart from sockets, so that each reader can be fuzzed.
//
//   - NATS: the client protocol, over TCP, TLS or WebSocket frames.
//   - MQTT 3.1.1 with QoS 0, a subject's tokens as levels of a topic.
//   - RESP2, the PUBLISH and SUBSCRIBE of Redis.
//   - AMQP 0-9-1 without acknowledgements: a queue of its own for each subscription, bound to the topic exchange.
//
// A reader takes bytes cut anywhere, keeps a partial operation until the rest comes, hands over whole ones as slices of what
// it was fed, and refuses what a broker must not send with an error that says what it was. It imports the standard library
// alone.
package dialect
