//! Scripts that start workers on what the user has: a Slurm job array, or a Kubernetes Indexed Job.
//!
//! Nothing is sent from here. Every task is one `sweep worker`; the study and its store decide what
//! it does. A worker that gets SIGTERM saves its trial and gives it back.

use std::path::PathBuf;

use serde_json::json;

use crate::{Error, Result};

/// Who starts the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A job array for `sbatch`.
    Slurm,
    /// An Indexed Job for `kubectl apply`.
    Kubernetes,
}

/// What the workers need.
#[derive(Clone, Debug)]
pub struct SubmitOptions {
    /// Name of the study.
    pub study: String,
    /// Workers at once.
    pub n_workers: usize,
    /// Threads of each.
    pub n_threads: usize,
    /// Memory of each, as the engine writes it, such as `4G` (Slurm) or `4Gi` (Kubernetes).
    pub memory: Option<String>,
    /// Longest time of a task in minutes.
    pub minutes: Option<u64>,
    /// The program, from the root of the file system (Slurm) or in the image (Kubernetes).
    pub program: PathBuf,
    /// Folder of runs and of the cache, on a disk that all workers see.
    pub runs_dir: PathBuf,
    /// Folder of the data sets, where one was named.
    pub data_dir: Option<PathBuf>,
    /// The store, without its password.
    pub store: String,
    /// Whether the store is a server, or a file of this machine.
    pub is_server: bool,
    /// Container image (Kubernetes).
    pub image: String,
    /// Slurm partition, where one is wanted.
    pub partition: Option<String>,
}

/// Seconds before the time limit at which a Slurm task is asked to save and to give its trial back.
const SECONDS_TO_SAVE: u64 = 120;

/// Exit code of a worker that was asked to stop.
const INTERRUPTED: u32 = 130;

/// The script or manifest.
///
/// # Errors
/// [`Error::LocalStore`] for Kubernetes with a store in a file: pods share no disk that SQLite
/// could lock.
pub fn script(engine: Engine, options: &SubmitOptions) -> Result<String> {
    match engine {
        Engine::Slurm => Ok(slurm(options)),
        Engine::Kubernetes if !options.is_server => {
            Err(Error::LocalStore { engine: "kubernetes", store: options.store.clone() })
        }
        Engine::Kubernetes => Ok(kubernetes(options)),
    }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn slurm(options: &SubmitOptions) -> String {
    let SubmitOptions { study, n_workers, n_threads, .. } = options;
    let mut head = vec![
        format!("--job-name={study}"),
        format!("--array=0-{}", n_workers.saturating_sub(1)),
        "--ntasks=1".to_owned(),
        format!("--cpus-per-task={n_threads}"),
        format!("--output={}", options.runs_dir.join("slurm-%A_%a.log").display()),
        "--open-mode=append".to_owned(),
        "--requeue".to_owned(),
    ];
    if let Some(minutes) = options.minutes {
        head.push(format!("--time={minutes}"));
        head.push(format!("--signal=B:USR1@{SECONDS_TO_SAVE}"));
    }
    head.extend(options.memory.iter().map(|memory| format!("--mem={memory}")));
    head.extend(options.partition.iter().map(|partition| format!("--partition={partition}")));
    let head: String = head.iter().map(|line| format!("#SBATCH {line}\n")).collect();
    let mut command = vec![
        quoted(&options.program.display().to_string()),
        "sweep".to_owned(),
        "worker".to_owned(),
        format!("--study={}", quoted(study)),
        "--name=job-${SLURM_ARRAY_JOB_ID}-${SLURM_ARRAY_TASK_ID}-${SLURM_RESTART_COUNT:-0}"
            .to_owned(),
        format!("--runs-dir={}", quoted(&options.runs_dir.display().to_string())),
        format!("--threads={n_threads}"),
    ];
    if let Some(data_dir) = &options.data_dir {
        command.push(format!("--data-dir={}", quoted(&data_dir.display().to_string())));
    }
    // A server's address may hold a password: sbatch passes the environment on.
    let store = if options.is_server {
        ": \"${HOURGLASS_STORE:?is the address of the store; export it before sbatch}\"\n"
            .to_owned()
    } else {
        format!("export HOURGLASS_STORE={}\n", quoted(&options.store))
    };
    let command = command.join(" \\\n    ");
    format!(
        "#!/bin/bash\n{head}\n\
         # Workers of the study `{study}`; each takes trials until there are none.\n\
         {store}\
         {command} &\n\
         worker=$!\n\
         again=no\n\
         # Before the time limit: the worker saves its trial and gives it back, and the task is\n\
         # queued again. Cancelled (SIGTERM), it does the same and stays away.\n\
         trap 'again=yes; kill -TERM \"$worker\"' USR1\n\
         trap 'kill -TERM \"$worker\" 2>/dev/null' TERM\n\
         while true; do\n    wait \"$worker\"\n    code=$?\n    \
         kill -0 \"$worker\" 2>/dev/null || break\ndone\n\
         if [ \"$again\" = yes ] && [ \"$code\" = {INTERRUPTED} ]; then\n    \
         scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\"\nfi\n\
         exit \"$code\"\n"
    )
}

fn kubernetes(options: &SubmitOptions) -> String {
    let name = options.study.to_lowercase().replace('_', "-");
    let mut args = vec![
        "sweep".to_owned(),
        "worker".to_owned(),
        format!("--study={}", options.study),
        "--name=$(POD_NAME)".to_owned(),
        format!("--runs-dir={}", options.runs_dir.display()),
        format!("--threads={}", options.n_threads),
    ];
    args.extend(options.data_dir.iter().map(|dir| format!("--data-dir={}", dir.display())));
    let mut amounts = json!({ "cpu": options.n_threads.to_string() });
    if let Some(memory) = &options.memory {
        amounts["memory"] = json!(memory);
    }
    let mut spec = json!({
        "completionMode": "Indexed",
        "completions": options.n_workers,
        "parallelism": options.n_workers,
        "backoffLimitPerIndex": 3,
        "template": {
            "metadata": { "labels": { "app": "hourglass", "study": name } },
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": SECONDS_TO_SAVE,
                "containers": [{
                    "name": "worker",
                    "image": options.image,
                    "command": [options.program.display().to_string()],
                    "args": args,
                    "env": [
                        { "name": "POD_NAME",
                          "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                        { "name": "HOURGLASS_STORE",
                          "valueFrom": { "secretKeyRef": { "name": "hourglass", "key": "store" } } },
                    ],
                    "resources": { "requests": amounts, "limits": amounts },
                    "volumeMounts": [{ "name": "runs", "mountPath": options.runs_dir.display().to_string() }],
                }],
                "volumes": [{ "name": "runs", "persistentVolumeClaim": { "claimName": "hourglass-runs" } }],
            },
        },
    });
    if let Some(minutes) = options.minutes {
        spec["activeDeadlineSeconds"] = json!(minutes * 60);
    }
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name, "labels": { "app": "hourglass" } },
        "spec": spec,
    });
    let text = serde_json::to_string_pretty(&job).unwrap_or_default();
    // JSON is YAML; comments may stand before it.
    format!(
        "# Workers of the study `{}`, for `kubectl apply -f`. Before it, once:\n\
         #   kubectl create secret generic hourglass --from-literal=store=\"$HOURGLASS_STORE\"\n\
         #   and a PersistentVolumeClaim `hourglass-runs` that all pods may write to.\n{text}\n",
        options.study
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn options() -> SubmitOptions {
        SubmitOptions {
            study: "digits-0a1b2c3d".to_owned(),
            n_workers: 4,
            n_threads: 2,
            memory: Some("4G".to_owned()),
            minutes: Some(60),
            program: "/opt/hour glass/hourglass".into(),
            runs_dir: "/home/ada/runs".into(),
            data_dir: None,
            store: "postgres://ada:***@db/studies".to_owned(),
            is_server: true,
            image: "hourglass:latest".to_owned(),
            partition: None,
        }
    }

    #[test]
    fn slurm_script() {
        expect![[r##"
            #!/bin/bash
            #SBATCH --job-name=digits-0a1b2c3d
            #SBATCH --array=0-3
            #SBATCH --ntasks=1
            #SBATCH --cpus-per-task=2
            #SBATCH --output=/home/ada/runs/slurm-%A_%a.log
            #SBATCH --open-mode=append
            #SBATCH --requeue
            #SBATCH --time=60
            #SBATCH --signal=B:USR1@120
            #SBATCH --mem=4G

            # Workers of the study `digits-0a1b2c3d`; each takes trials until there are none.
            : "${HOURGLASS_STORE:?is the address of the store; export it before sbatch}"
            '/opt/hour glass/hourglass' \
                sweep \
                worker \
                --study=digits-0a1b2c3d \
                --name=job-${SLURM_ARRAY_JOB_ID}-${SLURM_ARRAY_TASK_ID}-${SLURM_RESTART_COUNT:-0} \
                --runs-dir=/home/ada/runs \
                --threads=2 &
            worker=$!
            again=no
            # Before the time limit: the worker saves its trial and gives it back, and the task is
            # queued again. Cancelled (SIGTERM), it does the same and stays away.
            trap 'again=yes; kill -TERM "$worker"' USR1
            trap 'kill -TERM "$worker" 2>/dev/null' TERM
            while true; do
                wait "$worker"
                code=$?
                kill -0 "$worker" 2>/dev/null || break
            done
            if [ "$again" = yes ] && [ "$code" = 130 ]; then
                scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
            fi
            exit "$code"
        "##]]
        .assert_eq(&script(Engine::Slurm, &options()).unwrap());
    }

    #[test]
    fn kubernetes_manifest() {
        let text = script(Engine::Kubernetes, &options()).unwrap();
        let json: String = text.lines().filter(|line| !line.starts_with('#')).collect();
        let job: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(job["spec"]["completionMode"], "Indexed");
        assert_eq!(job["spec"]["completions"], 4);
        assert_eq!(job["spec"]["activeDeadlineSeconds"], 3600);
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["args"][2], "--study=digits-0a1b2c3d");
        assert_eq!(container["resources"]["limits"]["memory"], "4G");
        assert!(!text.contains("ada:"), "no address: it may hold a password");
        let local =
            SubmitOptions { is_server: false, store: "runs/studies.db".into(), ..options() };
        assert!(script(Engine::Kubernetes, &local).unwrap_err().to_string().contains("PostgreSQL"));
    }
}
