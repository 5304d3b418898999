package cli

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/config"
)

// A plain start gives what the whole tree gives; what is none is left to it untouched.
func TestPlainStart(t *testing.T) {
	for _, c := range []struct {
		args  []string
		plain bool
	}{
		{nil, true}, {[]string{"-p", "4300", "-DV"}, true}, {[]string{"-js=false", "--clients-limits-max-payload", "2MiB"}, true}, {[]string{"--clients-limits-max-payload=2MiB"}, true},
		{[]string{"run"}, false}, {[]string{"-D", "help"}, false}, {[]string{"-h"}, false}, {[]string{"pub", "a"}, false},
		{[]string{"-nope"}, false}, {[]string{"--clients-limits-max-paylod", "1"}, false}, {[]string{"-p", "x"}, false}, {[]string{"-D", "bogus"}, false},
	} {
		var got RunOptions
		d := daemon(config.Hubd, &got)
		err := errNotPlain
		if plainStart(c.args) {
			err = executePlain(context.Background(), "hubd", d, slices.Clone(c.args), func(*cobra.Command) {})
		}
		if plain := !errors.Is(err, errNotPlain); plain != c.plain || plain && (err != nil || got.Config == nil) || !plain && got.Config != nil {
			t.Errorf("%q: %v, ran %v", c.args, err, got.Config != nil)
		}
		if !c.plain {
			continue
		}
		whole, code, _, _ := runDaemon(t, config.Hubd, append([]string{"run"}, c.args...)...)
		if code != 0 || len(config.Compare(whole.Config, got.Config).Options) > 0 {
			t.Errorf("%q: %v", c.args, config.Compare(whole.Config, got.Config).Options)
		}
	}
}
