package notices_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/banyanmq/banyan/scripts/pack/notices"
	"github.com/banyanmq/banyan/scripts/pack/packtest"
)

func TestLicencesOfABinary(t *testing.T) {
	all, err := notices.Of(packtest.Binary(t), packtest.Sources(t))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, m := range all {
		found[m.Path] = m.Licences
	}
	for path, want := range map[string]string{"std": "BSD-3-Clause", "golang.org/x/mod": "BSD-3-Clause", "github.com/google/licensecheck": "BSD-3-Clause"} {
		if !slices.Contains(found[path], want) {
			t.Errorf("%s: %q, want %s", path, found[path], want)
		}
	}
	if all[len(all)-1].Path != "std" {
		t.Error("the standard library is not the last")
	}
	text := string(notices.Text("hubd", all))
	for _, want := range []string{"golang.org/x/mod v", "Redistribution and use in source and binary forms", "hubd is licensed under the Apache License 2.0"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the text", want)
		}
	}
}

func TestModulesThatAreNotThere(t *testing.T) {
	exe, s := packtest.Binary(t), packtest.Sources(t)
	s.ModCache = t.TempDir()
	if _, err := notices.Of(exe, s); err == nil || !strings.Contains(err.Error(), "go mod download") {
		t.Errorf("%v", err)
	}
	if _, err := notices.Of(os.DevNull, s); err == nil {
		t.Error("licences of nothing")
	}
}
