//! A MariaDB server of our own, as a supervised child.
