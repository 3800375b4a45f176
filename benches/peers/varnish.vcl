# Varnish's share of the policy: which origin a miss goes to. The built-in rules do the rest, and
# the choice stands on the fetch side, so that a hit does not pay for it.
vcl 4.1;

backend fast {
    .host = "127.0.0.1";
    .port = "@ORIGIN@";
}

backend slow {
    .host = "127.0.0.1";
    .port = "@SLOW@";
}

sub vcl_backend_fetch {
    if (bereq.url ~ "^/slow/") {
        set bereq.backend = slow;
    }
}
