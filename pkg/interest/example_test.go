package interest_test

import (
	"fmt"

	"github.com/banyanmq/banyan/pkg/interest"
)

func ExampleIndex() {
	x := interest.New[string]()
	x.Insert([]byte("orders.*.new"), "billing")

	subj := []byte("orders.eu.new")
	stamp := x.Stamp(subj) // before Match
	result := x.Match(subj, nil)
	fmt.Println(result, x.Fresh(stamp))

	x.Insert([]byte("orders.eu.>"), "audit")
	fmt.Println(x.Fresh(stamp))
	// Output:
	// [billing] true
	// false
}
