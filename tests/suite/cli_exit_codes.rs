//! Bad input at the command line: a message that says what to do, and an exit code that scripts can rely on.

use kodo_simulator::Options;

use crate::support::stage::Stage;

fn small() -> Options {
    Options { users: 1, messages: 3, ..Options::default() }
}

/// Arguments, the exit code, and what the message says.
type Case<'a> = (&'a [&'a str], i32, &'a str);

fn check(stage: &Stage, cases: &[Case<'_>]) {
    for (args, code, says) in cases {
        let ran = stage.run(args);
        assert_eq!(ran.code, *code, "kodo {}: {ran:?}", args.join(" "));
        assert!(ran.stderr.contains(says), "kodo {} does not say \"{says}\": {ran:?}", args.join(" "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_with_the_remedy() -> anyhow::Result<()> {
    let stage = Stage::ready(small()).await?;
    let user = stage.users().remove(0);
    let bad_token = stage.dir.path().join("bad-token");
    std::fs::write(&bad_token, "kodo_nonsense\n")?;
    let bad_token = bad_token.to_string_lossy().into_owned();
    let tenant = ["tenant", "add", "x", "--entra-tenant-id", "x.example", "--client-id", "y"];

    check(
        &stage,
        &[
            (&["frobnicate"], 2, "unrecognized subcommand"),
            (&["backup"], 2, "--user"),
            (&["storage", "add", "x", "--path", "here"], 2, "must be absolute"),
            (&["storage", "add", "x", "--path", "/no/such/place"], 1, "does not exist: create it"),
            (&["backup", "--user", &user, "--policy", "none"], 1, "there is no policy \"none\""),
            (&["backup", "--user", "nobody@nowhere.example"], 1, "there is no resource"),
            (&["restore", "--user", &user], 1, "back it up first"),
            (&["tenant", "check", "nowhere"], 1, "there is no tenant \"nowhere\""),
            (&tenant, 2, "--secret-file"),
            (&["run", "show", "99"], 1, "there is no run 99"),
            (&["status", "--server", "https://127.0.0.1:9"], 4, "is \"kodo serve\" running"),
            (&["status", "--token-file", &bad_token], 4, "token is not known"),
            (&["status", "--token-file", "/no/such/token"], 4, "cannot read the token file"),
            (&["status", "--ca-file", "/no/such/ca"], 5, "cannot read the CA file"),
        ],
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_named_before_anything_starts() -> anyhow::Result<()> {
    let stage = Stage::fresh(small()).await?;

    for (text, says) in [
        ("[serve]\n", "serve"),
        ("[log]\nlevel = \"info\"\n", "level"),
        ("[log]\nfilter = \"kodo=loud\"\n", "log.filter"),
        ("[log\n", "TOML"),
    ] {
        stage.configure(text)?;
        for command in ["check-config", "serve", "init", "status"] {
            let ran = stage.run(&[command]);
            assert_eq!(ran.code, 5, "kodo {command} with {text:?}: {ran:?}");
            assert!(ran.stderr.contains("configuration") && ran.stderr.contains(says), "{text:?}: {ran:?}");
        }
    }
    stage.configure("")?;
    assert!(stage.expect(&["check-config"])?["server"].is_string());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_says_what_keeps_it_from_starting() -> anyhow::Result<()> {
    let stage = Stage::fresh(small()).await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let text = std::fs::read_to_string(stage.config())?;
    let with = |from: &str, to: &str| std::fs::write(stage.config(), text.replace(from, to));

    check(&stage, &[(&["serve"], 1, "\"kodo init\" creates it")]);
    with(stage.database_url(), "mysql://root@localhost/kodo?unix_socket=/no/such/socket")?;
    check(&stage, &[(&["init"], 1, "cannot connect to the database")]);
    std::fs::write(stage.config(), &text)?;
    stage.expect(&["init"])?;
    with("127.0.0.1:0", &taken.local_addr()?.to_string())?;
    check(&stage, &[(&["serve"], 1, "is in use by another process")]);
    Ok(())
}
