"""The options of TCP, UDP and TLS; ``schema`` says how the table is read."""

from typing import Final

__all__ = ["STREAMS"]

STREAMS: Final = """
tcp.routers
  entryPoints list
  middlewares list
  priority int
  rule string
  ruleSyntax string
  service string
  tls flag
  tls.certResolver string
  tls.domains[].main string
  tls.domains[].sans list
  tls.options string
  tls.passthrough bool
tcp.services
  loadBalancer.healthCheck flag
  loadBalancer.healthCheck.expect string
  loadBalancer.healthCheck.interval duration
  loadBalancer.healthCheck.port int
  loadBalancer.healthCheck.send string
  loadBalancer.healthCheck.timeout duration
  loadBalancer.healthCheck.unhealthyInterval duration
  loadBalancer.proxyProtocol flag
  loadBalancer.proxyProtocol.version int
  loadBalancer.server.port string label
  loadBalancer.server.tls bool label
  loadBalancer.servers[].address string file
  loadBalancer.servers[].tls bool file
  loadBalancer.serversTransport string
  loadBalancer.terminationDelay int
  weighted.healthCheck flag file
  weighted.services[].name string file
  weighted.services[].weight int file
tcp.serversTransports
  dialKeepAlive duration file
  dialTimeout duration file
  proxyProtocol.version int file
  terminationDelay duration file
  tls.certificates[].certFile string file
  tls.certificates[].keyFile string file
  tls.insecureSkipVerify bool file
  tls.peerCertURI string file
  tls.rootCAs list file
  tls.serverName string file
  tls.spiffe.ids list file
  tls.spiffe.trustDomain string file
udp.routers
  entryPoints list
  service string
udp.services
  loadBalancer.server.port string label
  loadBalancer.servers[].address string file
  weighted.services[].name string file
  weighted.services[].weight int file
tls.certificates
  certFile string file
  keyFile string file
  stores list file
tls.options
  alpnProtocols list file
  cipherSuites list file
  clientAuth.caFiles list file
  clientAuth.clientAuthType string file
  curvePreferences list file
  disableSessionTickets bool file
  maxVersion string file
  minVersion string file
  preferServerCipherSuites bool file
  sniStrict bool file
tls.stores
  defaultCertificate.certFile string file
  defaultCertificate.keyFile string file
  defaultGeneratedCert.domain.main string
  defaultGeneratedCert.domain.sans list
  defaultGeneratedCert.resolver string
"""
