package notices

import "testing"

func TestNamesOfFiles(t *testing.T) {
	for name, want := range map[string]bool{
		"LICENSE": true, "LICENSE.txt": true, "licence.md": true, "COPYING": true, "NOTICE": true, "LICENSE-MIT": true, "PATENTS": true,
		"licenses.yaml.go": false, "relicense": false, "README.md": false, "noticed": false,
	} {
		if got := fileName.MatchString(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
