//! Bad input at the command line: a message that says what to do, and an exit code that scripts can rely on.

use kodo_simulator::Options;
use serde_json::{Value, json};

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

    check(&stage, &[(&["serve"], 6, "\"kodo init\" creates it"), (&["worker"], 6, "\"kodo init\" creates it")]);
    with(stage.database_url(), "mysql://root@localhost/kodo?unix_socket=/no/such/socket")?;
    let unreachable = "cannot connect to the database";
    check(&stage, &[(&["init"], 6, unreachable), (&["serve"], 6, unreachable), (&["migrate"], 6, unreachable)]);
    with(stage.database_url(), "mysql://root@db.example.org/kodo")?;
    check(&stage, &[(&["serve"], 6, "database.allow_plain_text")]);
    std::fs::write(stage.config(), &text)?;
    stage.expect(&["init"])?;
    with("127.0.0.1:0", &taken.local_addr()?.to_string())?;
    check(&stage, &[(&["serve"], 6, "is in use by another process")]);
    let pem = stage.dir.path().join("none.pem");
    let tls = format!("[server]\ntls_cert = {pem:?}\ntls_key = {pem:?}");
    with("[server]", &tls)?;
    check(&stage, &[(&["serve"], 6, "cannot read the certificate")]);
    std::fs::write(stage.config(), &text)?;
    std::fs::write(stage.state().join("instance.key"), "not a key\n")?;
    let damaged = "does not hold an instance key";
    check(&stage, &[(&["serve"], 6, damaged), (&["worker"], 6, damaged), (&["init"], 6, damaged)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_or_configuration_that_is_not_there_is_named() -> anyhow::Result<()> {
    let stage = Stage::fresh(small()).await?;

    std::fs::write(stage.state(), "a file where the directory should be")?;
    check(&stage, &[(&["init"], 6, "cannot create the state directory"), (&["serve"], 6, "instance key")]);
    let garbage = [0xff, 0xfe, 0x00, b'k'];
    std::fs::write(stage.config(), garbage)?;
    let unreadable = format!("cannot read the configuration file {}", stage.config().display());
    check(&stage, &[(&["serve"], 5, &unreadable)]);
    std::fs::remove_file(stage.config())?;
    check(&stage, &[(&["check-config"], 5, &unreadable), (&["status"], 5, &unreadable)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_microsoft_refuses_says_why() -> anyhow::Result<()> {
    let stage = Stage::ready(small()).await?;
    let user = stage.users().remove(0);
    let secret = stage.dir.path().join("client-secret").to_string_lossy().into_owned();
    let register = |more: Value| {
        let mut wanted = json!({ "client_id": stage.tenant.client_id(), "secret": stage.tenant.client_secret() });
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        stage.tenant.register_app(wanted)
    };

    for (more, says) in [
        (json!({ "secret": "another" }), "secret"),
        (json!({ "secret_expired": true }), "expired"),
        (json!({ "roles": ["User.Read.All"] }), "Mail.Read"),
    ] {
        register(more)?;
        stage.tenant.expire_tokens();
        // Renewing makes kodo forget the token that it has.
        stage.expect(&["tenant", "renew", "contoso", "--secret-file", &secret])?;
        let ran = stage.run(&["backup", "--user", &user, "--wait"]);
        assert_eq!(ran.code, 1, "{says}: {ran:?}");
        assert!(ran.stderr.contains(says), "{says}: {ran:?}");
    }
    register(json!({}))?;
    stage.tenant.expire_tokens();
    stage.back_up(&user)?;
    Ok(())
}
