//! The images that containers are made of: pulled where a registry answers, else made here from Debian's packages
//! under the same names, so that everything else need not know.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::part::Part;
use crate::stack::command::{answer, command, output};
use crate::stack::root::as_root;
use crate::talk::{Step, Talk};
use crate::workspace::{self, Binaries, Profile};

/// An image that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// What service images stand on, and, where nothing can be pulled, the other two.
    Debian,
    Postgres,
    Nats,
}

impl Image {
    /// What the two servers run on.
    pub(crate) const SERVERS: [Self; 2] = [Self::Postgres, Self::Nats];
    pub(crate) const ALL: [Self; 3] = [Self::Debian, Self::Postgres, Self::Nats];

    pub(crate) const fn repository(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Postgres => "postgres",
            Self::Nats => "nats",
        }
    }

    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Debian => "trixie-slim",
            Self::Postgres => "17",
            Self::Nats => "2.10",
        }
    }

    pub(crate) fn name(self) -> String {
        format!("{}:{}", self.repository(), self.tag())
    }

    const fn dockerfile(self) -> Option<&'static str> {
        match self {
            Self::Debian => None,
            Self::Postgres => Some("postgres.Dockerfile"),
            Self::Nats => Some("nats.Dockerfile"),
        }
    }
}

/// Where the image that is here came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Registry,
    Packages,
}

impl Origin {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Registry => "the official image",
            Self::Packages => "built from Debian's packages, since no registry answers",
        }
    }
}

/// Whether the engine has it, and from where.
pub(crate) async fn origin(image: Image) -> Option<Origin> {
    // An image that was imported has no configuration to read a label from, hence the guard.
    let format = r#"{{if .Config}}{{index .Config.Labels "ensemble.packages"}}{{end}}"#;
    let label =
        answer(command("docker").args(["image", "inspect", "--format", format, &image.name()]), Duration::from_secs(10)).await?;
    Some(if label == "debian" { Origin::Packages } else { Origin::Registry })
}

/// Makes sure of the images, one program at a time: tests that start together would each make all of them.
///
/// # Errors
/// When one can neither be pulled nor made; with what would help.
pub(crate) async fn ensure(images: &[Image], talk: &Talk) -> anyhow::Result<()> {
    let mut missing = vec![];
    for image in images {
        if origin(*image).await.is_none() {
            missing.push(*image);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let _alone = workspace::alone("images").await?;
    let mut registry = true;
    for image in missing {
        if origin(image).await.is_some() {
            continue;
        }
        let step = talk.step(image.repository());
        registry = registry && pull(image, &step).await;
        if !registry {
            make(image, &step, talk).await?;
        }
        let origin = if registry { Origin::Registry } else { Origin::Packages };
        step.done(&format!("{} is {}", image.name(), origin.words()));
    }
    Ok(())
}

/// How long a registry may take to answer at all. What it then takes to send an image is another matter.
const REGISTRY_ANSWERS_WITHIN: Duration = Duration::from_secs(8);

async fn pull(image: Image, step: &Step<'_>) -> bool {
    step.now(&format!("pulling {}", image.name()));
    let Ok(mut docker) = command("docker").args(["pull", &image.name()]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    else {
        return false;
    };
    let stdout = docker.stdout.take().expect("piped above");
    let mut lines = BufReader::new(stdout).lines();
    // The first line comes once the registry has shown the manifest.
    match tokio::time::timeout(REGISTRY_ANSWERS_WITHIN, lines.next_line()).await {
        Ok(Ok(Some(_))) => {}
        Ok(_) | Err(_) => return false,
    }
    while let Ok(Some(_)) = lines.next_line().await {}
    docker.wait().await.is_ok_and(|status| status.success())
}

async fn make(image: Image, step: &Step<'_>, talk: &Talk) -> anyhow::Result<()> {
    let Some(dockerfile) = image.dockerfile() else {
        return debootstrap(step).await;
    };
    if origin(Image::Debian).await.is_none() {
        let base = talk.step(Image::Debian.repository());
        debootstrap(&base).await?;
        base.done("debian:trixie-slim is made by debootstrap");
    }
    step.now("installing Debian's packages");
    let context = workspace::root().join("deploy/images");
    output(command("docker").args(["build", "--tag", &image.name(), "--file"]).arg(context.join(dockerfile)).arg(&context))
        .await
        .with_context(|| format!("no registry answers, and {} could not be built from Debian's packages", image.name()))?;
    Ok(())
}

/// Makes the base image from Debian's packages.
async fn debootstrap(step: &Step<'_>) -> anyhow::Result<()> {
    const HINT: &str = "no registry answers; without one the images are made by debootstrap, which needs root and apt. \
                        With ENSEMBLE_HOUSING=native no image is needed";
    step.now("debootstrap");
    if answer(command("debootstrap").arg("--version"), Duration::from_secs(5)).await.is_none() {
        output(&mut as_root("apt-get", &["update"])?).await.context(HINT)?;
        output(&mut as_root("apt-get", &["install", "--yes", "--no-install-recommends", "debootstrap"])?).await.context(HINT)?;
    }
    let root = workspace::workshop().join("trixie");
    let path = root.to_str().context("the path of the checkout is not UTF-8")?;
    output(&mut as_root("rm", &["-rf", path])?).await?;
    output(&mut as_root("debootstrap", &["--variant=minbase", "--include=ca-certificates", "trixie", path])?)
        .await
        .context(HINT)?;
    step.now("importing");
    let import = "tar -C \"$1\" --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude=./usr/share/doc -c . \
                  | docker import --change 'LABEL ensemble.packages=debian' --change 'CMD [\"bash\"]' - \"$2\"";
    output(&mut as_root("sh", &["-c", import, "import", path, &Image::Debian.name()])?).await?;
    output(&mut as_root("rm", &["-rf", path])?).await?;
    Ok(())
}

/// The label that says which binary an image was made of.
const BINARY_LABEL: &str = "ensemble.binary";

/// The name of a program's image.
pub(crate) fn service_image(part: Part) -> String {
    format!("ensemble/{part}:local")
}

/// Makes the images of our own programs, those whose binary has changed.
///
/// # Errors
/// When cargo or docker fails.
pub(crate) async fn programs(profile: Profile, talk: &Talk) -> anyhow::Result<()> {
    let ours: Vec<_> = Part::ALL.into_iter().filter(|part| part.is_ours()).collect();
    if !runs_on_debian_13() {
        return in_a_stage(&ours, talk).await;
    }
    let binaries = workspace::build(&ours, profile, talk).await?;
    let step = talk.step("images");
    let existing = labels(&ours).await;
    let mut made = 0;
    for part in ours {
        let stamp = stamp(&binaries, part)?;
        if existing.get(&part).is_none_or(|label| *label != stamp) {
            step.now(&format!("{part}"));
            image_of(part, &binaries[&part], &stamp).await?;
            made += 1;
        }
    }
    if made > 0 {
        // What the new ones have replaced; nothing else bears this label without a name.
        let filter = format!("label={BINARY_LABEL}");
        output(command("docker").args(["image", "prune", "--force", "--filter", &filter])).await?;
    }
    step.done(&format!("{made} of 5 service images made anew"));
    Ok(())
}

/// Whether what is compiled here runs in the image: Linux, and a C library no newer than Debian 13's.
fn runs_on_debian_13() -> bool {
    const TRIXIE: (u32, u32) = (2, 41);
    let asked = std::process::Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    cfg!(target_os = "linux")
        && asked.is_ok_and(|said| glibc(&String::from_utf8_lossy(&said.stdout)).is_some_and(|here| here <= TRIXIE))
}

/// From "glibc 2.36".
fn glibc(said: &str) -> Option<(u32, u32)> {
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

async fn labels(parts: &[Part]) -> HashMap<Part, String> {
    let mut found = HashMap::new();
    for part in parts {
        let format = format!("{{{{index .Config.Labels {BINARY_LABEL:?}}}}}");
        let asked = answer(
            command("docker").args(["image", "inspect", "--format", &format, &service_image(*part)]),
            Duration::from_secs(10),
        )
        .await;
        found.extend(asked.map(|label| (*part, label)));
    }
    found
}

/// Changes with the binary and with the recipe.
fn stamp(binaries: &Binaries, part: Part) -> anyhow::Result<String> {
    let changed = |path: &Path| -> anyhow::Result<u128> {
        let time = std::fs::metadata(path).with_context(|| format!("could not look at {}", path.display()))?.modified()?;
        Ok(time.duration_since(std::time::UNIX_EPOCH)?.as_nanos())
    };
    Ok(format!("{}-{}", changed(&binaries[&part])?, changed(&dockerfile())?))
}

fn dockerfile() -> PathBuf {
    workspace::root().join("deploy/images/service.Dockerfile")
}

async fn image_of(part: Part, binary: &Path, stamp: &str) -> anyhow::Result<()> {
    let context = workspace::workshop().join("images").join(part.name());
    std::fs::create_dir_all(&context).with_context(|| format!("could not create {}", context.display()))?;
    let staged = context.join(part.name());
    // Debug information is most of a development build, and of no use in there.
    let stripped = output(command("strip").arg("-o").arg(&staged).arg(binary)).await;
    if stripped.is_err() {
        std::fs::copy(binary, &staged).with_context(|| format!("could not copy {}", binary.display()))?;
    }
    docker_build(part, LOCAL, &context, &[format!("{BINARY_LABEL}={stamp}")]).await
}

/// Compiles in a container, where what is compiled here would not run in one. The engine's cache knows what has
/// changed.
async fn in_a_stage(parts: &[Part], talk: &Talk) -> anyhow::Result<()> {
    for part in parts {
        let step = talk.step(part.name());
        step.now("cargo build, in a container");
        docker_build(*part, BUILT, workspace::root(), &[]).await?;
        step.done("image built in a container");
    }
    Ok(())
}

/// The two targets of `service.Dockerfile`.
const LOCAL: &str = "local";
const BUILT: &str = "built";

async fn docker_build(part: Part, target: &str, context: &Path, labels: &[String]) -> anyhow::Result<()> {
    let mut docker = command("docker");
    docker.args(["build", "--target", target, "--build-arg", &format!("SERVICE={part}"), "--tag", &service_image(part)]);
    for label in labels {
        docker.args(["--label", label]);
    }
    if target == BUILT {
        // The classic builder would also build the stages that this one does not need, and fail in one.
        docker.env("DOCKER_BUILDKIT", "1");
    }
    output(docker.arg("--file").arg(dockerfile()).arg(context))
        .await
        .with_context(|| format!("could not make the image of {part}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPOSE: &str = include_str!("../../../../deploy/compose/compose.yaml");

    #[test]
    fn compose_names_the_images_that_are_made_here() {
        for image in Image::SERVERS {
            assert!(COMPOSE.contains(&format!("image: {}\n", image.name())), "{}", image.name());
        }
        for part in Part::ALL.into_iter().filter(|part| part.is_ours()) {
            assert!(COMPOSE.contains(&format!("image: {}\n", service_image(part))), "{part}");
        }
    }

    #[test]
    fn glibc_versions_are_read_and_compared_as_numbers() {
        assert_eq!(glibc("glibc 2.36\n"), Some((2, 36)));
        assert!(glibc("glibc 2.9") < glibc("glibc 2.41"));
        assert_eq!(glibc("musl libc"), None);
    }
}
