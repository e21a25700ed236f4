"""The options of HTTP routers, services and transports; ``schema`` says how the table is read."""

from typing import Final

__all__ = ["HTTP"]

HTTP: Final = """
http.routers
  entryPoints list
  middlewares list
  observability.accessLogs bool
  observability.metrics bool
  observability.traceVerbosity string
  observability.tracing bool
  priority int
  rule string
  ruleSyntax string
  service string
  tls flag
  tls.certResolver string
  tls.domains[].main string
  tls.domains[].sans list
  tls.options string
http.services
  failover.errors.maxRequestBodyBytes int file
  failover.errors.status list file
  failover.fallback string file
  failover.healthCheck flag file
  failover.service string file
  highestRandomWeight.healthCheck flag file
  highestRandomWeight.services[].name string file
  highestRandomWeight.services[].weight int file
  loadBalancer.healthCheck.followRedirects bool
  loadBalancer.healthCheck.headers.** string
  loadBalancer.healthCheck.hostname string
  loadBalancer.healthCheck.interval duration
  loadBalancer.healthCheck.method string
  loadBalancer.healthCheck.mode string
  loadBalancer.healthCheck.path string
  loadBalancer.healthCheck.port int
  loadBalancer.healthCheck.scheme string
  loadBalancer.healthCheck.status int
  loadBalancer.healthCheck.timeout duration
  loadBalancer.healthCheck.unhealthyInterval duration
  loadBalancer.passHostHeader bool
  loadBalancer.passiveHealthCheck.failureWindow duration
  loadBalancer.passiveHealthCheck.maxFailedAttempts int
  loadBalancer.responseForwarding.flushInterval duration
  loadBalancer.server.ip string plugin
  loadBalancer.server.port string label
  loadBalancer.server.preservePath bool label
  loadBalancer.server.scheme string label
  loadBalancer.server.url string label
  loadBalancer.server.weight int label
  loadBalancer.servers[].preservePath bool file
  loadBalancer.servers[].url string file
  loadBalancer.servers[].weight int file
  loadBalancer.serversTransport string
  loadBalancer.sticky flag
  loadBalancer.sticky.cookie flag
  loadBalancer.sticky.cookie.domain string
  loadBalancer.sticky.cookie.httpOnly bool
  loadBalancer.sticky.cookie.maxAge int
  loadBalancer.sticky.cookie.name string
  loadBalancer.sticky.cookie.path string
  loadBalancer.sticky.cookie.sameSite string
  loadBalancer.sticky.cookie.secure bool
  loadBalancer.strategy string
  middlewares list
  mirroring.healthCheck flag file
  mirroring.maxBodySize int file
  mirroring.mirrorBody bool file
  mirroring.mirrors[].name string file
  mirroring.mirrors[].percent int file
  mirroring.service string file
  weighted.healthCheck flag file
  weighted.services[].name string file
  weighted.services[].weight int file
  weighted.sticky.cookie flag file
  weighted.sticky.cookie.domain string file
  weighted.sticky.cookie.httpOnly bool file
  weighted.sticky.cookie.maxAge int file
  weighted.sticky.cookie.name string file
  weighted.sticky.cookie.path string file
  weighted.sticky.cookie.sameSite string file
  weighted.sticky.cookie.secure bool file
http.serversTransports
  certificates[].certFile string file
  certificates[].keyFile string file
  cipherSuites list file
  disableHTTP2 bool file
  forwardingTimeouts.dialTimeout duration file
  forwardingTimeouts.idleConnTimeout duration file
  forwardingTimeouts.pingTimeout duration file
  forwardingTimeouts.readIdleTimeout duration file
  forwardingTimeouts.responseHeaderTimeout duration file
  insecureSkipVerify bool file
  maxIdleConnsPerHost int file
  maxVersion string file
  minVersion string file
  peerCertURI string file
  rootCAs list file
  serverName string file
  spiffe.ids list file
  spiffe.trustDomain string file
"""
