//! Roles, and what each may do. One table; whatever is not in it is forbidden.

/// What an endpoint asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See configuration, runs, tasks, agents and restore points, but no content.
    Read,
    /// See what is backed up: folders, subjects, senders, file names.
    Browse,
    /// Start and cancel runs; pause and resume agents.
    StartRuns,
    /// Bring data back, or hand it out.
    Restore,
    /// Change organizations, tenants, storages, policies and schedules.
    Configure,
    /// Add admins and tokens of others.
    ManageAdmins,
}

impl Permission {
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Browse, Self::StartRuns, Self::Restore, Self::Configure, Self::ManageAdmins];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Browse => "browse",
            Self::StartRuns => "start_runs",
            Self::Restore => "restore",
            Self::Configure => "configure",
            Self::ManageAdmins => "manage_admins",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Administrator,
    /// Daily work: runs, browsing, restores.
    Operator,
    /// Looks at the state of things and never at content.
    Viewer,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Operator, Self::Viewer];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    pub const fn allows(self, permission: Permission) -> bool {
        match self {
            Self::Administrator => true,
            Self::Operator => match permission {
                Permission::Read | Permission::Browse | Permission::StartRuns | Permission::Restore => true,
                Permission::Configure | Permission::ManageAdmins => false,
            },
            Self::Viewer => match permission {
                Permission::Read => true,
                Permission::Browse
                | Permission::StartRuns
                | Permission::Restore
                | Permission::Configure
                | Permission::ManageAdmins => false,
            },
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_all_that_a_lesser_one_may() {
        let allowed = |role: Role| Permission::ALL.into_iter().filter(|p| role.allows(*p)).count();

        let ladder: Vec<usize> = Role::ALL.into_iter().map(allowed).collect();

        assert_eq!(ladder, [6, 4, 1]);
        let operator = Permission::ALL.into_iter().filter(|p| Role::Operator.allows(*p));
        assert!(operator.clone().all(|p| Role::Administrator.allows(p)));
        assert!(!Role::Viewer.allows(Permission::Browse));
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
    }
}
