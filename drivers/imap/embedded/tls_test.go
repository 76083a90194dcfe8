package embedded

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"driftless/tests/harness"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	cert := harness.NewCert(t, time.Hour)
	pem, err := os.ReadFile(cert.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	trust := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	for _, startTLS := range []bool{false, true} {
		s := start(t, Options{TLS: cert.ServerConfig(), StartTLS: startTLS})
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if startTLS {
			line, err := r.ReadString('\n')
			if err != nil || !strings.Contains(line, "STARTTLS") {
				t.Fatalf("greeting %q, %v", line, err)
			}
			fmt.Fprintf(conn, "a STARTTLS\r\n")
			if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "a OK") {
				t.Fatalf("STARTTLS: %q, %v", line, err)
			}
		}
		secure := tls.Client(conn, trust)
		fmt.Fprintf(secure, "b LOGIN %s %q\r\n", user, password)
		r = bufio.NewReader(secure)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, "b ") {
				if !strings.HasPrefix(line, "b OK") {
					t.Errorf("login: %s", line)
				}
				break
			}
		}
		if err := secure.Close(); err != nil {
			t.Error(err)
		}
	}
}
