//! A throwaway MariaDB with the schema of this version and no rows.

use throwaway_mariadb::Throwaway;

use crate::db::{DatabaseConfig, Db, connect, migrate};

const BUFFER_POOL_MIB: u32 = 48;

pub struct TestDb {
    pub db: Db,
    pub url: String,
    _server: Throwaway,
}

impl TestDb {
    pub fn start() -> Self {
        let server = Throwaway::start(BUFFER_POOL_MIB, bring_up_to_date).unwrap();
        let url = server.url();
        let db = connect(&url, &DatabaseConfig { pool_size: 4, ..DatabaseConfig::default() }).unwrap();
        migrate(&db).unwrap();
        Self { db, url, _server: server }
    }
}

fn bring_up_to_date(url: &str) -> anyhow::Result<()> {
    migrate(&connect(url, &DatabaseConfig { pool_size: 1, ..DatabaseConfig::default() })?)?;
    Ok(())
}
