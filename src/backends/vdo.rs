//! How full a VDO volume is below its file system, which does not know: it may report most of itself free while no
//! block can be stored any more.
//!
//! The device-mapper devices below the mount are walked down to the VDO device, under the names that LVM (`vg-pool-vpool`)
//! and the older `vdo` command (`vdo0`) give it. Its figures come from sysfs where the kernel module offers them, else
//! from `dmsetup status` or `vdostats`, which ask for privileges.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::Space;

/// VDO knows no other size.
const BLOCK_BYTES: u64 = 4096;
/// Layers of device mapper between a file system and its disks.
const LAYERS_MAX: usize = 8;
/// Devices looked at below one mount.
const DEVICES_MAX: usize = 64;

/// Places whose physical usage is unknown and of which that was said.
static TOLD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// How much room there is on the file system at `root` with the VDO device below its block device `device`; `logical`
/// is what the file system says. `None` when the physical room cannot be found out, which is said once.
pub fn room(root: &Path, device: u64, logical: Space) -> Option<Space> {
    match measure(Path::new("/sys"), device, &run) {
        Ok(physical) => {
            TOLD.lock().unwrap_or_else(PoisonError::into_inner).remove(root);
            // What counts is whichever is nearer to its end.
            Some(if physical.free_bytes < logical.free_bytes { physical } else { logical })
        }
        Err(why) => {
            if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(root.to_owned()) {
                tracing::warn!(
                    place = %root.display(), why,
                    "the physical usage of the VDO volume is unknown, so its free space is not watched: watch it with \
                     vdostats"
                );
            }
            None
        }
    }
}

/// Runs a command that reports figures.
type Run<'a> = &'a dyn Fn(&[&str]) -> Result<String, String>;

fn run(command: &[&str]) -> Result<String, String> {
    let (program, args) = command.split_first().ok_or_else(|| "no command".to_owned())?;
    let output = Command::new(program).args(args).output().map_err(|err| format!("{program}: {err}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn measure(sys: &Path, device: u64, run: Run<'_>) -> Result<Space, String> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let top = sys.join(format!("dev/block/{major}:{minor}"));
    let devices = mapped_devices(&top);
    if devices.is_empty() {
        return Err(format!("no device-mapper device is below device {major}:{minor}"));
    }
    for device in &devices {
        for statistics in [device.folder.join("vdo/statistics"), sys.join("kvdo").join(&device.name).join("statistics")]
        {
            if let Some(space) = space_of_statistics(&statistics) {
                return Ok(space);
            }
        }
    }
    let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
    let status = run(&["dmsetup", "status", "--noflush", "--target", "vdo"]).and_then(|text| {
        space_of_status(&text, &names).ok_or_else(|| format!("dmsetup shows no VDO device among {}", names.join(", ")))
    });
    status.or_else(|why| {
        let table = run(&["vdostats"]).map_err(|more| format!("{why}; {more}"))?;
        space_of_vdostats(&table, &names).ok_or_else(|| format!("{why}; vdostats does not show it either"))
    })
}

struct Mapped {
    name: String,
    folder: PathBuf,
}

/// The device-mapper devices from the top one down, each layer before the next.
fn mapped_devices(top: &Path) -> Vec<Mapped> {
    let mut found = Vec::new();
    let mut layer = vec![top.to_owned()];
    for _ in 0..LAYERS_MAX {
        let mut below = Vec::new();
        for folder in layer.drain(..).take(DEVICES_MAX) {
            if let Ok(name) = std::fs::read_to_string(folder.join("dm/name")) {
                found.push(Mapped { name: name.trim().to_owned(), folder: folder.clone() });
            }
            let slaves = std::fs::read_dir(folder.join("slaves")).into_iter().flatten();
            below.extend(slaves.filter_map(|entry| entry.ok().map(|entry| entry.path())));
        }
        layer = below;
    }
    found.truncate(DEVICES_MAX);
    found
}

/// From the files that the kernel module keeps for each figure.
fn space_of_statistics(folder: &Path) -> Option<Space> {
    let figure = |name: &str| -> Option<u64> { std::fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok() };
    let used = figure("data_blocks_used")?.checked_add(figure("overhead_blocks_used")?)?;
    space(used, figure("physical_blocks")?, BLOCK_BYTES)
}

/// From `dmsetup status --target vdo`: `NAME: START LENGTH vdo DEVICE MODE RECOVERING INDEX COMPRESSION USED TOTAL`.
fn space_of_status(text: &str, names: &[&str]) -> Option<Space> {
    names.iter().find_map(|wanted| {
        text.lines().find_map(|line| {
            let (name, status) = line.split_once(": ")?;
            let words: Vec<&str> = status.split_whitespace().collect();
            let [_, _, "vdo", _, _, _, _, _, used, total, ..] = words[..] else { return None };
            (name.trim() == *wanted).then(|| space(used.parse().ok()?, total.parse().ok()?, BLOCK_BYTES)).flatten()
        })
    })
}

/// From the table of `vdostats`: `DEVICE 1K-BLOCKS USED AVAILABLE …`, the device with or without its folder.
fn space_of_vdostats(text: &str, names: &[&str]) -> Option<Space> {
    let header = text.lines().next()?;
    if !header.contains("1K-blocks") {
        return None;
    }
    names.iter().find_map(|wanted| {
        text.lines().skip(1).find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [device, total, used, ..] = words[..] else { return None };
            let named = device.trim_start_matches("/dev/mapper/") == *wanted;
            named.then(|| space(used.parse().ok()?, total.parse().ok()?, 1024)).flatten()
        })
    })
}

fn space(used: u64, total: u64, unit: u64) -> Option<Space> {
    let free = total.checked_sub(used).filter(|_| total > 0)?;
    Some(Space { free_bytes: free.checked_mul(unit)?, total_bytes: total.checked_mul(unit)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LVM: &str = "vg-pool-vpool: 0 41943040 vdo /dev/dm-1 normal - online online 1022976 2097152";
    const VDO_MANAGER: &str = "vdo0: 0 209715200 vdo /dev/sdb normal - online offline 262144 1310720";

    #[test]
    fn the_status_of_the_device_that_is_meant_is_read() {
        let both = format!("{LVM}\n{VDO_MANAGER}\n");
        let lvm = Space { free_bytes: (2_097_152 - 1_022_976) * 4096, total_bytes: 2_097_152 * 4096 };
        let manager = Space { free_bytes: (1_310_720 - 262_144) * 4096, total_bytes: 1_310_720 * 4096 };
        let table: &[(&str, &[&str], Option<Space>)] = &[
            (&both, &["vg-lv", "vg-pool-vpool", "vg-pool_vdata"], Some(lvm)),
            (&both, &["vdo0"], Some(manager)),
            (&both, &["vg-lv"], None),
            (&both, &[], None),
            ("", &["vdo0"], None),
            ("No devices found\n", &["vdo0"], None),
            ("vdo0: 0 2097152 linear\n", &["vdo0"], None),
            ("vdo0: 0 2097152 vdo /dev/sdb normal -\n", &["vdo0"], None),
            ("vdo0: 0 2097152 vdo /dev/sdb read-only - offline online none 9\n", &["vdo0"], None),
            // More used than there is cannot be, and nor can nothing at all.
            ("vdo0: 0 8 vdo /dev/sdb normal - online online 10 9\n", &["vdo0"], None),
            ("vdo0: 0 8 vdo /dev/sdb normal - online online 0 0\n", &["vdo0"], None),
            (&format!("vdo0: 0 8 vdo /dev/sdb normal - online online 0 {}\n", u64::MAX), &["vdo0"], None),
            (
                "vdo0: 0 8 vdo /dev/sdb normal - online online 1022976 1022976\n",
                &["vdo0"],
                Some(Space { free_bytes: 0, total_bytes: 1_022_976 * 4096 }),
            ),
        ];
        for (text, names, wanted) in table {
            assert_eq!(space_of_status(text, names), *wanted, "{names:?} in {text:?}");
        }
    }

    #[test]
    fn the_table_of_vdostats_is_read_with_and_without_the_folder() {
        let text = "Device               1K-blocks      Used Available Use% Space saving%\n\
                    /dev/mapper/vdo0      20971520   5242880  15728640  25%           81%\n\
                    vg-pool-vpool          8388608   8388608         0 100%           N/A\n";
        let kib = 1024;

        let vdo0 = Space { free_bytes: 15_728_640 * kib, total_bytes: 20_971_520 * kib };
        assert_eq!(space_of_vdostats(text, &["vdo0"]), Some(vdo0));
        let pool = Space { free_bytes: 0, total_bytes: 8_388_608 * kib };
        assert_eq!(space_of_vdostats(text, &["vg-lv", "vg-pool-vpool"]), Some(pool));
        assert_eq!(space_of_vdostats(text, &["other"]), None);
        assert_eq!(space_of_vdostats("vdostats: command needs root\n", &["vdo0"]), None);
    }

    /// `/sys` with a logical volume on a VDO pool: dm-2 on dm-1 on dm-0.
    fn sys() -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        let block = sys.path().join("block");
        for (device, name, below) in
            [("dm-2", "vg-lv", Some("dm-1")), ("dm-1", "vg-pool-vpool", Some("dm-0")), ("dm-0", "vg-pool_vdata", None)]
        {
            std::fs::create_dir_all(block.join(device).join("dm")).unwrap();
            std::fs::create_dir_all(block.join(device).join("slaves")).unwrap();
            std::fs::write(block.join(device).join("dm/name"), format!("{name}\n")).unwrap();
            if let Some(below) = below {
                std::os::unix::fs::symlink(block.join(below), block.join(device).join("slaves").join(below)).unwrap();
            }
        }
        std::fs::create_dir_all(sys.path().join("dev/block")).unwrap();
        std::os::unix::fs::symlink(block.join("dm-2"), sys.path().join("dev/block/253:2")).unwrap();
        sys
    }

    #[test]
    fn the_device_is_found_below_the_mount() {
        let sys = sys();
        let device = rustix::fs::makedev(253, 2);
        let status = |command: &[&str]| match command[0] {
            "dmsetup" => Ok(LVM.to_owned()),
            other => Err(format!("{other} was not to be asked")),
        };
        let denied = |command: &[&str]| Err(format!("{}: permission denied", command[0]));

        assert_eq!(measure(sys.path(), device, &status).unwrap().total_bytes, 2_097_152 * 4096);
        let why = measure(sys.path(), device, &denied).unwrap_err();
        assert!(why.contains("dmsetup: permission denied") && why.contains("vdostats: permission denied"), "{why}");
        let plain = measure(sys.path(), rustix::fs::makedev(8, 1), &status).unwrap_err();
        assert!(plain.contains("below device 8:1"), "{plain}");
    }

    #[test]
    fn what_the_kernel_module_says_in_sysfs_is_enough() {
        let sys = sys();
        let statistics = sys.path().join("kvdo/vg-pool-vpool/statistics");
        std::fs::create_dir_all(&statistics).unwrap();
        for (name, figure) in
            [("data_blocks_used", "100\n"), ("overhead_blocks_used", "50\n"), ("physical_blocks", "1000\n")]
        {
            std::fs::write(statistics.join(name), figure).unwrap();
        }

        let found = measure(sys.path(), rustix::fs::makedev(253, 2), &|_| panic!("no command is needed")).unwrap();

        assert_eq!(found, Space { free_bytes: 850 * 4096, total_bytes: 1000 * 4096 });
    }

    #[test]
    fn a_volume_that_cannot_be_measured_has_no_figures_rather_than_wrong_ones() {
        let logical = Space { free_bytes: 11 << 30, total_bytes: 12 << 30 };

        assert_eq!(room(Path::new("/nowhere"), rustix::fs::makedev(0, 0), logical), None);
    }
}
