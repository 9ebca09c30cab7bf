#!/bin/sh
# nginx looks up the addresses of its upstreams when it starts, and never again. Under compose a container may come back with
# another address, or several may come (--scale). So whenever Docker's DNS has new addresses, this makes nginx read its
# configuration again; transfers that are under way go on.
names=$(env | sed -n 's/^[A-Z]*_ADDR=\(.*\):.*/\1/p')
addresses() { for name in $names; do getent ahostsv4 "$name" | sed "s/ .*/ $name/"; done | sort -u; }
{
    known=$(addresses)
    while sleep 2; do
        now=$(addresses)
        if [ "$now" != "$known" ]; then nginx -s reload && known=$now; fi
    done
} &
