ARG ROOT
FROM ${ROOT}
ENV CARGO_HOME=/opt/cargo RUSTC_BOOTSTRAP=1 CC_x86_64_unknown_linux_musl=musl-gcc
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt
CMD ["bash"]
