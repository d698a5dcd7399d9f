#!/bin/sh
# SPDX-License-Identifier: MIT
# The man page has no fault that mandoc knows of.
. "$(dirname "$0")/lib.sh"

command -v mandoc >/dev/null || skip 'mandoc is not installed'
mandoc -T lint -W warning "$2" || failed "mandoc finds faults in $2"
checks=$((checks + 1))
# shellcheck disable=SC2016 # a fault that mandoc must see, or the check above says nothing
printf '.Dd $Mdocdate$\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n.Sh SEE ALSO\n.Xr b 1\n.Xr a 1\n' >"$dir/faulty.1"
! mandoc -T lint -W warning "$dir/faulty.1" >"$dir/out" || failed 'mandoc lets a faulty page pass'
out_has .
finish 2
