#!/bin/sh
# nginx asks for its upstreams' addresses when it starts, and never again. Under compose a container may come back with
# another one, or in several (--scale): whenever Docker's DNS says something new, nginx reads its configuration anew. What
# is being transferred goes on meanwhile.
names=$(env | sed -n 's/^[A-Z]*_ADDR=\(.*\):.*/\1/p')
addresses() { for name in $names; do getent ahostsv4 "$name" | sed "s/ .*/ $name/"; done | sort -u; }
{
    known=$(addresses)
    while sleep 2; do
        now=$(addresses)
        if [ "$now" != "$known" ]; then nginx -s reload && known=$now; fi
    done
} &
