package auth

import (
	"fmt"
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
)

// listed are permissions with as many entries in each list, half of them patterns,
// of which the last matches.
func listed(n int) *Permissions {
	p := &config.Permissions{}
	for i := range n {
		p.Publish.Allow = append(p.Publish.Allow, fmt.Sprintf("allow.%d.x", i), fmt.Sprintf("allow.%d.*.>", i))
		p.Publish.Deny = append(p.Publish.Deny, fmt.Sprintf("allow.%d.no", i), fmt.Sprintf("deny.%d.*", i))
	}
	return NewPermissions(p)
}

// hits: one subject again and again, or as many as a connection remembers; misses:
// ever other subjects.
func BenchmarkCanPublish(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		v := NewVerdicts(listed(n))
		last := []byte(fmt.Sprintf("allow.%d.a.b", n-1))
		run := func(name string, subjects int, want bool, first []byte) {
			list := make([][]byte, subjects)
			for i := range list {
				list[i] = append(append([]byte(nil), first...), fmt.Sprintf(".%d", i)...)
			}
			b.Run(fmt.Sprintf("%s/entries=%d", name, 4*n), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if v.CanPublish(list[i]) != want {
						b.Fatal("wrong verdict")
					}
					if i++; i == len(list) {
						i = 0
					}
				}
			})
		}
		run("hit", 1, true, last)
		run("hit-refused", 1, false, []byte("elsewhere"))
		run("miss", 4096, true, last)
		run("miss-refused", 4096, false, []byte("elsewhere"))
	}
}

// TestVerdictsDoNotAllocate: neither does a subject that is known nor one that is not.
func TestVerdictsDoNotAllocate(t *testing.T) {
	v := NewVerdicts(listed(16))
	subjects := make([][]byte, 1024)
	for i := range subjects {
		subjects[i] = []byte(fmt.Sprintf("allow.%d.a.%04d", i%20, i))
	}
	for range 2 { // slots grow once
		for _, s := range subjects {
			v.CanPublish(s)
		}
	}
	i := 0
	if n := testing.AllocsPerRun(2000, func() {
		if want := i%20 < 16; v.CanPublish(subjects[i]) != want {
			t.Errorf("%s: want %v", subjects[i], want)
		}
		i = (i + 1) % len(subjects)
	}); n > 0 {
		t.Errorf("a miss makes %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { v.CanPublish(subjects[1]) }); n > 0 {
		t.Errorf("a hit makes %v allocations", n)
	}
}
