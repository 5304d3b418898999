package auth

import (
	"bytes"
	"slices"

	"github.com/banyanmq/banyan/pkg/subject"
)

// fewPatterns is how many are looked through one by one.
const fewPatterns = 8

// patterns are the subjects of a list, found by what they begin with if there are
// many: reply subjects are ever new, so that no memory of verdicts helps them.
type patterns struct {
	few   [][]byte
	exact map[string]struct{} // those without wildcards
	heads []head              // the others, by the number of tokens before the first wildcard
}

// head is the patterns with a number of literal tokens in front.
type head struct {
	tokens int
	tails  map[string][][]byte // by those tokens; "" if there are none
}

func newPatterns(list []rule) (p patterns) {
	if len(list) <= fewPatterns {
		for i := range list {
			p.few = append(p.few, list[i].subject)
		}
		return p
	}
	p.exact = make(map[string]struct{})
	for i := range list {
		s := list[i].subject
		n, end, wild := literal(s)
		if !wild {
			p.exact[string(s)] = struct{}{}
			continue
		}
		at := slices.IndexFunc(p.heads, func(h head) bool { return h.tokens == n })
		if at < 0 {
			at = len(p.heads)
			p.heads = append(p.heads, head{n, make(map[string][][]byte)})
		}
		t := p.heads[at].tails
		t[string(s[:end])] = append(t[string(s[:end])], s)
	}
	slices.SortFunc(p.heads, func(a, b head) int { return a.tokens - b.tokens })
	return p
}

// literal counts the tokens before the first wildcard and says where they end,
// without the dot behind them.
func literal(s []byte) (tokens, end int, wild bool) {
	for rest := s; ; tokens++ {
		token, after, more := bytes.Cut(rest, dot)
		if len(token) == 1 && (token[0] == '*' || token[0] == '>') {
			return tokens, end, true
		}
		end = len(s) - len(after)
		if !more {
			return tokens + 1, len(s), false
		}
		end--
		rest = after
	}
}

var dot = []byte{'.'}

// match tells whether any of them covers a published subject.
func (p *patterns) match(subj []byte) bool {
	for _, s := range p.few {
		if subject.Match(s, subj) {
			return true
		}
	}
	if p.exact == nil {
		return false
	}
	if _, ok := p.exact[string(subj)]; ok {
		return true
	}
	tokens, end := 0, 0
	for i := range p.heads {
		h := &p.heads[i]
		for tokens < h.tokens { // end is the dot behind so many tokens
			from := end
			if tokens > 0 {
				from++
			}
			n := bytes.IndexByte(subj[from:], '.')
			if n < 0 {
				return false // no token is left for a wildcard
			}
			end = from + n
			tokens++
		}
		for _, s := range h.tails[string(subj[:end])] {
			if subject.Match(s, subj) {
				return true
			}
		}
	}
	return false
}
