package main

import (
	"io"
	"log"
	"net"
	"os"
)

// forward TARGET: hands connections on to a TCP address. Standard input is the
// socket to accept on; a socket stays in the network namespace it was made in,
// so this joins two namespaces when it is started in the target's.
func forward() {
	if len(os.Args) != 2 {
		log.Fatal("usage: kube forward TARGET <LISTENING-SOCKET")
	}
	listener, err := net.FileListener(os.Stdin)
	if err != nil {
		log.Fatalf("standard input is no listening socket: %v", err)
	}
	for {
		near, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go join(near.(*net.TCPConn), os.Args[1])
	}
}

func join(near *net.TCPConn, target string) {
	defer near.Close()
	connection, err := net.Dial("tcp", target)
	if err != nil {
		log.Print(err)
		return
	}
	far := connection.(*net.TCPConn)
	defer far.Close()
	done := make(chan struct{}, 2)
	go pipe(far, near, done)
	go pipe(near, far, done)
	<-done
	<-done
}

func pipe(to, from *net.TCPConn, done chan<- struct{}) {
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
	done <- struct{}{}
}
