package claims

import (
	"encoding/hex"

	"github.com/banyanmq/banyan/pkg/system"
	"github.com/banyanmq/banyan/pkg/wire"
)

// A server that was away while an account was deleted still has its token. So that it
// does not bring the account back, servers that exchange tell each other by which orders
// accounts were deleted. An order is signed by an operator: whoever tells of it decides
// nothing. Servers that do not know of this see a header that they pass over, and are
// sent nothing more.
const (
	// deletionsHeader of a request says what is known: a hash, in hex.
	deletionsHeader = "Banyan-Deletions"
	// deletionHeader of an answer: its payload is an order.
	deletionHeader = "Banyan-Deletion"
)

func header(name, value string) []byte {
	return []byte("NATS/1.0" + wire.CRLF + name + ": " + value + wire.CRLF + wire.CRLF)
}

func (s *Service) ordersHash() string {
	sum := s.dir.OrdersHash()
	return hex.EncodeToString(sum[:])
}

// askDeletions is the header of a request for what others have.
func (s *Service) askDeletions() []byte { return header(deletionsHeader, s.ordersHash()) }

// packDeletions tells who asks of the orders, if it knows others.
func (s *Service) packDeletions(r *system.Request) {
	theirs, asks := wire.HeaderValue(r.Header, deletionsHeader)
	if !asks || string(theirs) == s.ordersHash() {
		return
	}
	h := header(deletionHeader, "1")
	for _, order := range s.dir.Orders() {
		s.client.Publish(r.Account, r.Reply, "", h, []byte(order))
	}
}

// mergeDeletion carries out what was ordered while this server was away.
func (s *Service) mergeDeletion(order string) {
	gone, err := s.o.Operator.MergeDeletion(order)
	if err != nil {
		s.o.Log.Debugf("An order of another server to delete accounts was not taken: %v", err)
	}
	for _, key := range gone {
		s.o.Log.Noticef("Account %s was deleted while this server was away", key)
	}
}
