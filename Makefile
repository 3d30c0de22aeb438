.PHONY: e2e

# noVNC, MQTT.js and a Redis client through the release daemon to real servers. Installs Debian
# packages as root where they are missing.
e2e:
	tests/e2e/run
