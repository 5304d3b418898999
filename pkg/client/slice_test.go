package client

import "testing"

func TestSmoke(t *testing.T) {
	h := startHub(t)
	a, b := h.ready(t), h.ready(t)
	b.ask("SUB foo 1\r\nSUB q.* g 2\r\n", "")
	a.ask("PUB foo 5\r\nhello\r\nPUB q.1 rep 2\r\nhi\r\nHPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "")
	b.expect("MSG foo 1 5\r\nhello\r\nMSG q.1 2 rep 2\r\nhi\r\nHMSG foo 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
	nc := h.nats(t)
	sub, _ := nc.SubscribeSync("x")
	nc.Publish("x", []byte("1"))
	if m, err := sub.NextMsg(patience); err != nil || string(m.Data) != "1" {
		t.Fatal(m, err)
	}
	if _, err := nc.Request("nobody", nil, patience); err == nil || err.Error() != "nats: no responders available for request" {
		t.Fatal(err)
	}
}
