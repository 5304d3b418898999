package settingsdoc

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/banyanmq/banyan/pkg/config"
)

// row is one option of one or more daemons.
type row struct {
	config.OptionInfo
	daemons []string
	root    bool   // not inside of a list
	text    string // key in texts
}

// section is the rows of one table.
type section struct {
	title string
	rows  []*row
}

// Page renders the page. It fails for an option that has no text, and for a text
// that no option needs.
func Page() ([]byte, error) {
	sections, later, idle := gather()
	var b bytes.Buffer
	b.WriteString(intro)
	used := map[string]bool{}
	var missing []string
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		if note := notes[s.title]; note != "" {
			b.WriteString(note + "\n\n")
		}
		b.WriteString("| setting | type | default | in | reload | .conf | meaning |\n|---|---|---|---|---|---|---|\n")
		for _, r := range s.rows {
			t := texts[r.text]
			used[r.text] = true
			if t.means == "" {
				t.means = r.Help
			}
			if t.means == "" {
				missing = append(missing, r.text)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n",
				r.names(), kind(r, t), defaultOf(r, t), in(r.daemons), reload(r), confNames(r), cell(t.means))
		}
	}
	b.WriteString(idleIntro)
	for _, r := range idle {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", orDash(r.names()), confNames(r), cell(r.Help))
	}
	b.WriteString(laterIntro)
	for _, r := range later {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", orDash(r.names()), confNames(r), cell(r.Help))
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("settings without a text in test/settingsdoc/texts.go: %s", strings.Join(missing, ", "))
	}
	for key := range texts {
		if !used[key] {
			return nil, fmt.Errorf("test/settingsdoc/texts.go explains %q, which is no setting", key)
		}
	}
	return b.Bytes(), nil
}

// gather merges what the three daemons know, in the order of the table.
func gather() (sections []*section, later, idle []*row) {
	byTitle := map[string]*section{}
	rows := map[string]*row{}
	add := func(title string, d config.Daemon, o config.OptionInfo, text string, root bool) {
		id := title + " " + o.Key + " " + strings.Join(o.Conf, " ")
		if r := rows[id]; r != nil {
			if title != tlsTitle {
				r.Reload = r.Reload && o.Reload // hubd does nothing with a gateway block
			}
			if !slices.Contains(r.daemons, string(d)) {
				r.daemons = append(r.daemons, string(d))
			}
			return
		}
		r := &row{o, []string{string(d)}, root, text}
		rows[id] = r
		switch {
		case o.Status == "not supported yet":
			later = append(later, r)
		case o.Status != "":
			idle = append(idle, r)
		case o.Key == "" && refusals[last(o.Conf[0])]:
			// A name that is known only to say what to write instead.
		default:
			s := byTitle[title]
			if s == nil {
				s = &section{title: title}
				byTitle[title] = s
				sections = append(sections, s)
			}
			s.rows = append(s.rows, r)
		}
	}
	for _, d := range []config.Daemon{config.Hubd, config.Gwd, config.Leafd} {
		for _, o := range config.Options(d) {
			o.Key = strings.Replace(o.Key, ".resolver_tls.", ".tls.", 1) // the shared block by another name
			block, rest, _ := strings.Cut(o.Key, ".")
			switch {
			case strings.HasPrefix(rest, "tls."):
				add(tlsTitle, d, shared(o, block), rest, true)
			case o.Key == "" && strings.Contains(o.Conf[0], "tls."):
				o.Conf = []string{"tls." + last(o.Conf[0])}
				add(tlsTitle, d, o, "", true)
			default:
				add(title(block), d, o, o.Key, true)
			}
		}
		for _, l := range config.Lists(d) {
			list := l.Key
			if list == "accounts[].users" {
				list = "auth.users"
			}
			for _, o := range l.Options {
				if strings.HasPrefix(o.Key, "tls.") || o.Key == "" && strings.Contains(o.Conf[0], "tls.") {
					continue // the shared table
				}
				text := list + "[]." + o.Key
				if o.Key == "" {
					text = list + "[]." + o.Conf[0]
				} else {
					o.Key = list + "[]." + o.Key
				}
				for i := range o.Conf {
					o.Conf[i] = "…" + o.Conf[i]
				}
				add(itemTitle(list), d, o, text, false)
			}
		}
	}
	slices.SortStableFunc(sections, func(a, b *section) int { return rank(a.title) - rank(b.title) })
	return sections, later, idle
}

// shared makes a row of one tls block stand for all of them.
func shared(o config.OptionInfo, block string) config.OptionInfo {
	o.Key = strings.Replace(o.Key, block+".", "", 1)
	o.Conf = []string{"tls." + last(o.Conf[0])}
	return o
}

func last(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func (r *row) names() string {
	if r.Key == "" {
		return ""
	}
	out := "`" + r.Key + "`"
	for _, a := range r.Aliases {
		out += " or `" + a + "`"
	}
	return out
}

// confNames writes the alternatives of the last segment out.
func confNames(r *row) string {
	var all []string
	for _, c := range r.Conf {
		segments := strings.Split(c, ".")
		for i, s := range segments[:len(segments)-1] {
			segments[i], _, _ = strings.Cut(s, "/")
		}
		all = append(all, "`"+strings.ReplaceAll(strings.Join(segments, "."), "/", "` or `")+"`")
	}
	return orDash(strings.Join(all, ", "))
}

func kind(r *row, t text) string {
	if t.kind != "" {
		return cell(t.kind)
	}
	return cell(r.Kind)
}

func defaultOf(r *row, t text) string {
	switch {
	case t.def != "":
		return cell(t.def)
	case r.Default == "" && r.Kind == "boolean":
		return "false"
	case r.Default == "":
		return "-"
	case kind(r, t) == "size":
		if n, err := strconv.ParseInt(r.Default, 10, 64); err == nil && n >= 1<<20 {
			return fmt.Sprintf("%d MiB", n>>20)
		}
	case kind(r, t) == "duration":
		return strings.Replace(strings.Replace(r.Default, "m0s", "m", 1), "h0m", "h", 1)
	}
	return cell(r.Default)
}

func in(daemons []string) string {
	if len(daemons) == 3 {
		return "all"
	}
	return strings.Join(daemons, ", ")
}

// reload says whether a reload applies a setting.
func reload(r *row) string {
	if r.Reload {
		return "yes"
	}
	return "no"
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
