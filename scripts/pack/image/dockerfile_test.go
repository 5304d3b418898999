package image

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const dockerfile = "../../../Dockerfile"

// stage is what a stage of a Dockerfile makes of an image.
type stage struct {
	from string
	copy []string
	config
}

type config struct {
	user, dir       string
	env, entry, cmd []string
	ports           []string
	labels          map[string]string
}

// stages reads the instructions that this Dockerfile uses; another is a failure, so that
// the comparison below can't miss one.
func stages(t *testing.T) map[string]*stage {
	t.Helper()
	b, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*stage{}
	var s *stage
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		list := func() (l []string) {
			if err := json.Unmarshal([]byte(rest), &l); err != nil {
				t.Fatalf("%s: not in the form that needs no shell: %v", line, err)
			}
			return l
		}
		switch word {
		case "FROM":
			f := strings.Fields(rest)
			from, name := f[len(f)-3], f[len(f)-1]
			s = &stage{from: from}
			s.labels = map[string]string{}
			if base := all[from]; base != nil {
				s.config = base.config
				s.labels = maps.Clone(base.labels)
			}
			all[name] = s
		case "COPY":
			s.copy = append(s.copy, rest)
		case "ENV":
			s.env = append(s.env, rest)
		case "USER":
			s.user = rest
		case "WORKDIR":
			s.dir = rest
		case "EXPOSE":
			s.ports = strings.Fields(rest)
		case "ENTRYPOINT":
			s.entry = list()
		case "CMD":
			s.cmd = list()
		case "LABEL":
			for rest != "" {
				key, more, ok := strings.Cut(rest, "=")
				if !ok {
					t.Fatalf("%s: no value", line)
				}
				value, after, _ := strings.Cut(more, " ")
				if strings.HasPrefix(more, `"`) {
					value, after, _ = strings.Cut(more[1:], `"`)
				}
				s.labels[strings.TrimSpace(key)] = value
				rest = strings.TrimSpace(after)
			}
		case "ARG", "RUN":
		default:
			t.Fatalf("%s: teach this test what %s does", line, word)
		}
	}
	return all
}

// An engine builds what make images writes.
func TestDockerfileMakesTheSameImages(t *testing.T) {
	all := stages(t)
	for _, daemon := range []string{"hubd", "gwd", "leafd"} {
		s := all[daemon]
		if s == nil {
			t.Fatalf("no stage %s", daemon)
		}
		want, err := Config(daemon, "$VERSION", "$COMMIT", commitTime)
		if err != nil {
			t.Fatal(err)
		}
		delete(want.Labels, "org.opencontainers.image.created") // an engine writes its own time
		ports := map[string]struct{}{}
		for _, p := range s.ports {
			ports[p+"/tcp"] = struct{}{}
		}
		got := v1.Config{User: s.user, Env: s.env, Entrypoint: s.entry, Cmd: s.cmd, WorkingDir: s.dir, ExposedPorts: ports, Labels: s.labels}
		a, err := json.MarshalIndent(got, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.MarshalIndent(want, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Errorf("%s: the Dockerfile makes\n%s\nmake images makes\n%s", daemon, a, b)
		}
		// All files come from the program that lays out the images.
		copies := []string{"--from=build-" + daemon + " /image/root/ /", "--from=build-" + daemon + " --chown=65532:65532 /image/owned/ /"}
		if !slices.Equal(s.copy, copies) || all["base"].from != "scratch" {
			t.Errorf("%s: copies %q onto %s", daemon, s.copy, all["base"].from)
		}
	}
}
