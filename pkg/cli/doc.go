// Package cli is the command line that hubd, gwd and leafd share.
//
// A daemon's main says who it is and how it runs; everything else is here:
//
//	func main() {
//		os.Exit(cli.Main(cli.Daemon{
//			Name:  config.Hubd,
//			Short: "Banyan's cluster core",
//			Run:   run, // func(context.Context, cli.RunOptions) error
//		}))
//	}
//
// Commands: run (also without a name), check, version, signal for the daemon
// itself; pub, sub, request, reply for talking to any server; status for what
// a running daemon says about itself; keys tls for certificates.
//
// What it promises: results on stdout, everything else on stderr; exit codes
// that do not change (exit.go); silence about success where nobody watches; the
// flags of the reference binary, one dash or two (config-cli 3).
//
// It imports config, certs and version, and the official client library. It
// knows nothing of how a daemon is built: that is injected by the main packages.
package cli
