package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// listing is a command that prints one of the lists of a daemon's endpoints.
type listing struct {
	use, short, what string
	endpoint         string
	query            url.Values
	// list is the key of the list in the answer, and account that of an entry's account.
	list, account string
	columns       []column
	// rows makes entries of the answer where it holds more than one list.
	rows func(answer map[string]any) []map[string]any
	// page asks the daemon for the entries itself: it can filter, sort and page.
	page bool
}

// column of a table: its title, which with small letters is also what --sort calls it,
// and the keys of an entry whose first value is shown.
type column struct {
	title string
	keys  string
	show  func(any) string
}

// listings of the command line.
func listings() []listing {
	count := []column{{"SUBS", "subscriptions", nil}, {"PENDING", "pending_bytes pending_size", bytesOf}}
	flow := []column{{"MSGS-FROM", "in_msgs", nil}, {"MSGS-TO", "out_msgs", nil}, {"BYTES-FROM", "in_bytes", bytesOf}, {"BYTES-TO", "out_bytes", bytesOf}}
	address := []column{{"ADDRESS", "ip", nil}, {"PORT", "port", nil}}
	return []listing{
		{use: "conns", short: "List the connections of a running daemon", what: "clients, leaf links among them",
			endpoint: "connz", query: url.Values{"auth": {"true"}}, list: "connections", account: "account", page: true,
			columns: slices.Concat([]column{{"CID", "cid", nil}, {"KIND", "kind", nil}, {"NAME", "name", nil}}, address,
				[]column{{"ACCOUNT", "account", nil}, {"USER", "authorized_user", nil}, {"LIBRARY", "lang", nil}, {"RTT", "rtt", nil}}, count, flow,
				[]column{{"UPTIME", "uptime", nil}, {"IDLE", "idle", nil}, {"REASON", "reason", nil}})},
		{use: "accounts", short: "List the accounts of a running daemon", what: "accounts, with what they send and receive",
			endpoint: "accstatz", query: url.Values{"unused": {"true"}}, list: "account_statz", account: "acc",
			columns: []column{{"ACCOUNT", "acc", nil}, {"NAME", "name", nil}, {"CONNS", "conns", nil}, {"LEAFS", "leafnodes", nil}, {"SUBS", "num_subscriptions", nil},
				{"MSGS-FROM", "received.msgs", nil}, {"MSGS-TO", "sent.msgs", nil}, {"BYTES-FROM", "received.bytes", bytesOf}, {"BYTES-TO", "sent.bytes", bytesOf}, {"SLOW", "slow_consumers", nil}}},
		{use: "routes", short: "List the routes of a running daemon", what: "connections to the other members of the cluster",
			endpoint: "routez", list: "routes", account: "account",
			columns: slices.Concat([]column{{"RID", "rid", nil}, {"SERVER", "remote_name remote_id", nil}}, address,
				[]column{{"ACCOUNT", "account", nil}, {"SOLICITED", "did_solicit", nil}, {"COMPRESSION", "compression", nil}, {"RTT", "rtt", nil}}, count, flow, []column{{"UPTIME", "uptime", nil}})},
		{use: "leafs", short: "List the leaf links of a running daemon", what: "leaf links, of those that dialed us and of those we dialed",
			endpoint: "leafz", list: "leafs", account: "account",
			columns: slices.Concat([]column{{"LID", "id", nil}, {"NAME", "name", nil}}, address,
				[]column{{"ACCOUNT", "account", nil}, {"SPOKE", "is_spoke", nil}, {"COMPRESSION", "compression", nil}, {"RTT", "rtt", nil}, {"SUBS", "subscriptions", nil}}, flow)},
		{use: "gateways", short: "List the gateway connections of a running daemon", what: "connections to other regions, those we dialed and those that dialed us",
			endpoint: "gatewayz", query: url.Values{"accs": {"true"}}, rows: gatewayRows,
			columns: slices.Concat([]column{{"GATEWAY", "gateway", nil}, {"DIRECTION", "direction", nil}, {"GID", "cid", nil}, {"SERVER", "name", nil}}, address,
				[]column{{"ACCOUNTS", "accounts", nil}, {"RTT", "rtt", nil}}, count, flow, []column{{"UPTIME", "uptime", nil}})},
	}
}

func bytesOf(v any) string {
	n, _ := v.(json.Number)
	i, err := n.Int64()
	if err != nil {
		return fmt.Sprint(v)
	}
	return size(i)
}

// gatewayRows makes one list of the two maps, each entry its connection with the
// gateway's name, the direction and how many accounts are known.
func gatewayRows(answer map[string]any) (rows []map[string]any) {
	add := func(name, direction string, v any) {
		link, _ := v.(map[string]any)
		row := map[string]any{}
		if c, ok := link["connection"].(map[string]any); ok {
			maps.Copy(row, c)
		}
		accounts, _ := link["accounts"].([]any)
		row["gateway"], row["direction"], row["accounts"] = name, direction, json.Number(strconv.Itoa(len(accounts)))
		rows = append(rows, row)
	}
	out, _ := answer["outbound_gateways"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(out)) {
		add(name, "out", out[name])
	}
	in, _ := answer["inbound_gateways"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(in)) {
		list, _ := in[name].([]any)
		for _, v := range list {
			add(name, "in", v)
		}
	}
	return rows
}

func newListing(exe string, l listing) *cobra.Command {
	var (
		m                    monitoring
		asJSON               bool
		account, order, user string
		state                = "open"
		limit                int
	)
	cmd := &cobra.Command{
		Use:   l.use,
		Short: l.short,
		Long: `Ask a running daemon over its HTTP port and print its ` + l.what + `,
one a line, or with --json what the endpoint /` + l.endpoint + ` says.

The exit code is 0 also when there is nothing to list, and 5 when the daemon does
not answer.

` + exitCodesHelp,
		Example: example(exe, strings.ReplaceAll(`LIST
LIST --sort msgs-from --limit 10
LIST --http 10.0.0.5:8222 --json | jq .`, "LIST", l.use)),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if order != "" && !slices.ContainsFunc(l.columns, func(c column) bool { return strings.EqualFold(c.title, order) }) {
				return usagef("--sort %s is none of %s", order, l.sorts())
			}
			if !slices.Contains([]string{"open", "closed", "any"}, state) {
				return usagef("--state %s is none of open, closed, any", state)
			}
			ctx, e, end, err := m.begin(cmd)
			if err != nil {
				return err
			}
			defer end()
			query := url.Values{}
			maps.Copy(query, l.query)
			if l.page {
				query.Set("state", state)
				query.Set("limit", "100000") // what there is; sorted and cut here
				if account != "" {
					query.Set("acc", account)
				}
				if user != "" {
					query.Set("user", user)
				}
			}
			var raw json.RawMessage
			if err := e.object(ctx, l.endpoint, query, &raw); err != nil {
				return err
			}
			answer, err := numbers(raw)
			if err != nil {
				return err
			}
			rows := l.entries(answer)
			if l.account != "" && account != "" && !l.page {
				rows = slices.DeleteFunc(rows, func(r map[string]any) bool { return r[l.account] != account })
			}
			total := len(rows)
			l.sort(rows, order)
			if limit > 0 && len(rows) > limit {
				rows = rows[:limit]
			}
			if !asJSON {
				_, err := io.WriteString(cmd.OutOrStdout(), l.table(rows, total))
				return err
			}
			if l.list != "" {
				answer[l.list] = rows
			} else if account != "" || order != "" || limit > 0 {
				return writeJSONLine(cmd.OutOrStdout(), rows)
			}
			return writeJSONLine(cmd.OutOrStdout(), answer)
		},
	}
	f := cmd.Flags()
	m.register(f)
	addSwitch(f, &asJSON, "json", "j", "print what the endpoint says as one JSON object")
	f.StringVar(&order, "sort", "", "sort by this `column`, the largest first, words in their order: "+l.sorts())
	f.IntVar(&limit, "limit", 0, "show at most this many; 0 is all")
	if l.account != "" {
		f.StringVar(&account, "account", "", "only those of this account")
	}
	if l.page {
		f.StringVar(&user, "user", "", "only those of this user")
		f.StringVar(&state, "state", "open", "open, closed or any")
	}
	return cmd
}

// numbers decodes an answer without rounding its numbers.
func numbers(raw []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var m map[string]any
	err := d.Decode(&m)
	return m, err
}

func (l *listing) entries(answer map[string]any) []map[string]any {
	if l.rows != nil {
		return l.rows(answer)
	}
	list, _ := answer[l.list].([]any)
	rows := make([]map[string]any, 0, len(list))
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			rows = append(rows, m)
		}
	}
	return rows
}

func (l *listing) sorts() string {
	words := make([]string, len(l.columns))
	for i, c := range l.columns {
		words[i] = strings.ToLower(c.title)
	}
	return strings.Join(words, ", ")
}

// value is the first of the column's keys that an entry has.
func (c *column) value(row map[string]any) any {
	for key := range strings.FieldsSeq(c.keys) {
		var v any = row
		for step := range strings.SplitSeq(key, ".") {
			m, _ := v.(map[string]any)
			v = m[step]
		}
		if v != nil && v != "" {
			return v
		}
	}
	return nil
}

func (l *listing) sort(rows []map[string]any, order string) {
	for i := range l.columns {
		c := &l.columns[i]
		if order == "" || !strings.EqualFold(c.title, order) {
			continue
		}
		slices.SortStableFunc(rows, func(a, b map[string]any) int {
			x, y := c.value(a), c.value(b)
			n, nok := x.(json.Number)
			m, mok := y.(json.Number)
			if nok || mok {
				f, _ := n.Float64()
				g, _ := m.Float64()
				return cmp.Compare(g, f)
			}
			return cmp.Compare(fmt.Sprint(x), fmt.Sprint(y))
		})
	}
}

// table leaves out columns in which nothing stands.
func (l *listing) table(rows []map[string]any, total int) string {
	if total == 0 {
		return "none\n"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	var shown []column
	for _, c := range l.columns {
		if slices.ContainsFunc(rows, func(r map[string]any) bool { return c.value(r) != nil }) {
			shown = append(shown, c)
		}
	}
	line := func(cell func(*column) string) {
		for i := range shown {
			if i > 0 {
				_, _ = io.WriteString(w, "\t")
			}
			// A peer chooses its own name.
			_, _ = io.WriteString(w, strings.ReplaceAll(clean(cell(&shown[i])), "\t", " "))
		}
		_, _ = io.WriteString(w, "\n")
	}
	line(func(c *column) string { return c.title })
	for _, r := range rows {
		line(func(c *column) string {
			v := c.value(r)
			switch {
			case v == nil:
				return "-"
			case c.show != nil:
				return c.show(v)
			}
			return fmt.Sprint(v)
		})
	}
	_ = w.Flush()
	if more := total - len(rows); more > 0 {
		fmt.Fprintf(&b, "... and %d more\n", more)
	}
	return b.String()
}
