// Package procs starts real server processes for tests and measurements and looks after them.
//
// It promises that a process started here is gone when its owner stops it or dies (the kernel kills it with its parent), that
// nothing waits longer than the context it was given, that ports are chosen by the kernel, and that what a process printed is
// there when something fails. It knows nothing about the protocols the processes speak.
//
//	bins := procs.NewBinaries(t.TempDir())
//	hubd, err := bins.Build(ctx, "hubd")
//	p, err := procs.Start(procs.Spec{
//		Exe:    hubd,
//		Dir:    t.TempDir(),
//		Config: "listen: 127.0.0.1:-1\nports_file_dir: \"{{dir}}\"\n",
//	})
//	defer p.Kill()
//	ports, err := p.Ports(ctx)
//	nc, err := nats.Connect(ports.Client())
//
// CPU, memory and system calls of a running process are read from the operating system (Usage); Linux only.
//
// It may import the standard library and golang.org/x/sys, and nothing of this module.
package procs
