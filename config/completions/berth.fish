# Completions of berth(1) for fish; made by "berth completion fish".
complete -c berth -f
complete -c berth -n __fish_use_subcommand -a up -d 'Deploy the Compose file and watch it come up'
complete -c berth -n __fish_use_subcommand -a plan -d 'Show what "berth up" would change, and where it would run'
complete -c berth -n __fish_use_subcommand -a simulate -d 'Show what more nodes would place'
complete -c berth -n __fish_use_subcommand -a down -d 'Stop an app and remove its containers and networks'
complete -c berth -n __fish_use_subcommand -a scale -d 'Run so many instances of a service'
complete -c berth -n __fish_use_subcommand -a restart -d 'Stop and start instances'
complete -c berth -n __fish_use_subcommand -a rollback -d 'Bring an earlier revision of an app back'
complete -c berth -n __fish_use_subcommand -a rollout -d 'rollouts'
complete -c berth -n __fish_use_subcommand -a history -d 'List the revisions of an app'
complete -c berth -n __fish_use_subcommand -a follow -d 'Let an app follow a repository'
complete -c berth -n __fish_use_subcommand -a unfollow -d 'Let apps follow their repositories no longer; they run on'
complete -c berth -n __fish_use_subcommand -a sync -d 'Look at an app\'s repository now and deploy what is there'
complete -c berth -n __fish_use_subcommand -a config -d 'Print the canonical model of Compose files'
complete -c berth -n __fish_use_subcommand -a ls -d 'List apps'
complete -c berth -n __fish_use_subcommand -a ps -d 'List instances, jobs that recur, and services that scale'
complete -c berth -n __fish_use_subcommand -a inspect -d 'Print all that is known of an object as JSON'
complete -c berth -n __fish_use_subcommand -a logs -d 'Print what instances wrote'
complete -c berth -n __fish_use_subcommand -a exec -d 'Run a command in an instance'
complete -c berth -n __fish_use_subcommand -a top -d 'Show what instances use'
complete -c berth -n __fish_use_subcommand -a events -d 'Print what happened'
complete -c berth -n __fish_use_subcommand -a why -d 'Tell why an object is as it is'
complete -c berth -n __fish_use_subcommand -a autoscale -d 'autoscales'
complete -c berth -n __fish_use_subcommand -a job -d 'jobs'
complete -c berth -n __fish_use_subcommand -a secret -d 'secrets'
complete -c berth -n __fish_use_subcommand -a route -d 'routes'
complete -c berth -n __fish_use_subcommand -a volume -d 'volumes'
complete -c berth -n __fish_use_subcommand -a network -d 'networks'
complete -c berth -n __fish_use_subcommand -a image -d 'images'
complete -c berth -n __fish_use_subcommand -a source -d 'sources'
complete -c berth -n __fish_use_subcommand -a node -d 'nodes'
complete -c berth -n __fish_use_subcommand -a pool -d 'pools'
complete -c berth -n __fish_use_subcommand -a quota -d 'quotas'
complete -c berth -n __fish_use_subcommand -a node -d 'nodes'
complete -c berth -n __fish_use_subcommand -a doctor -d 'Check whether the server, its engine and its plug-ins fit together'
complete -c berth -n __fish_use_subcommand -a plugin -d 'plugins'
complete -c berth -n __fish_use_subcommand -a policy -d 'policys'
complete -c berth -n __fish_use_subcommand -a completion -d 'Print completions for bash, zsh or fish'
complete -c berth -n __fish_use_subcommand -a version -d 'Print the versions of this command and of the server'
complete -c berth -n __fish_use_subcommand -a help -d 'Print help'
complete -c berth -l host -s H -d 'server: unix:///path, http://host:port or https://host:port (BERTH_HOST)' -x
complete -c berth -l namespace -s n -d 'namespace (BERTH_NAMESPACE, else "default")' -x
complete -c berth -l help -s h -d 'this help'
complete -c berth -l version -s V -d 'the version of this command'
complete -c berth -n '__fish_seen_subcommand_from up' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from up' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from up' -l env-file -d 'variables for the file, instead of .env' -rF
complete -c berth -n '__fish_seen_subcommand_from up' -l profile -d 'services of this profile as well; "*" means all' -x
complete -c berth -n '__fish_seen_subcommand_from up' -l project-directory -d 'what relative paths mean, instead of the first file\'s folder' -xa '(__fish_complete_directories)'
complete -c berth -n '__fish_seen_subcommand_from up' -l compat -d 'what to do with attributes that Berth does not have (refuse)' -xa 'refuse warn'
complete -c berth -n '__fish_seen_subcommand_from up' -l dry-run -d 'print what would change and why; change nothing'
complete -c berth -n '__fish_seen_subcommand_from up' -l detach -s d -d 'do not wait'
complete -c berth -n '__fish_seen_subcommand_from up' -l wait-timeout -d 'wait at most so long: seconds or 1m30s (600; 0: no end)' -x
complete -c berth -n '__fish_seen_subcommand_from up' -l build -d 'build images anew'
complete -c berth -n '__fish_seen_subcommand_from up' -l no-build -d 'never build an image'
complete -c berth -n '__fish_seen_subcommand_from up' -l force-recreate -d 'new instances even where nothing changed'
complete -c berth -n '__fish_seen_subcommand_from up' -l scale -d 'so many instances, whatever the file says' -x
complete -c berth -n '__fish_seen_subcommand_from up' -l message -s m -d 'what the change is for, kept in the history' -x
complete -c berth -n '__fish_seen_subcommand_from up' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from plan' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from plan' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from plan' -l env-file -d 'variables for the file, instead of .env' -rF
complete -c berth -n '__fish_seen_subcommand_from plan' -l profile -d 'services of this profile as well; "*" means all' -x
complete -c berth -n '__fish_seen_subcommand_from plan' -l project-directory -d 'what relative paths mean, instead of the first file\'s folder' -xa '(__fish_complete_directories)'
complete -c berth -n '__fish_seen_subcommand_from plan' -l compat -d 'what to do with attributes that Berth does not have (refuse)' -xa 'refuse warn'
complete -c berth -n '__fish_seen_subcommand_from plan' -l rebalance -d 'instead, which instances of all apps would have better places'
complete -c berth -n '__fish_seen_subcommand_from plan' -l force-recreate -d 'new instances even where nothing changed'
complete -c berth -n '__fish_seen_subcommand_from plan' -l scale -d 'so many instances, whatever the file says' -x
complete -c berth -n '__fish_seen_subcommand_from plan' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from simulate' -l nodes -d 'so many more (1; at most 1000)' -x
complete -c berth -n '__fish_seen_subcommand_from simulate' -l like -d 'like this node, or like those of this pool' -xa '(begin; berth node ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from simulate' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from simulate' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from simulate' -l env-file -d 'variables for the file, instead of .env' -rF
complete -c berth -n '__fish_seen_subcommand_from simulate' -l profile -d 'services of this profile as well; "*" means all' -x
complete -c berth -n '__fish_seen_subcommand_from simulate' -l project-directory -d 'what relative paths mean, instead of the first file\'s folder' -xa '(__fish_complete_directories)'
complete -c berth -n '__fish_seen_subcommand_from simulate' -l compat -d 'what to do with attributes that Berth does not have (refuse)' -xa 'refuse warn'
complete -c berth -n '__fish_seen_subcommand_from simulate' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from down' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from down' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from down' -l volumes -s v -d 'remove its named volumes as well: their data is lost'
complete -c berth -n '__fish_seen_subcommand_from down' -l detach -s d -d 'do not wait'
complete -c berth -n '__fish_seen_subcommand_from down' -l wait-timeout -d 'wait at most so long: seconds or 1m30s (600; 0: no end)' -x
complete -c berth -n '__fish_seen_subcommand_from down' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from down' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from scale' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from scale' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from scale' -l recommend -d 'list what services are recommended to reserve, as "berth autoscale ls" does; scale nothing'
complete -c berth -n '__fish_seen_subcommand_from scale' -l dry-run -d 'print what would change and why; change nothing'
complete -c berth -n '__fish_seen_subcommand_from scale' -l detach -s d -d 'do not wait'
complete -c berth -n '__fish_seen_subcommand_from scale' -l wait-timeout -d 'wait at most so long: seconds or 1m30s (600; 0: no end)' -x
complete -c berth -n '__fish_seen_subcommand_from scale' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from scale' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from restart' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from restart' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from restart' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from restart' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from rollback' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from rollback' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from rollback' -l to -d 'this revision (the one before the present)' -x
complete -c berth -n '__fish_seen_subcommand_from rollback' -l dry-run -d 'print what would change and why; change nothing'
complete -c berth -n '__fish_seen_subcommand_from rollback' -l detach -s d -d 'do not wait'
complete -c berth -n '__fish_seen_subcommand_from rollback' -l wait-timeout -d 'wait at most so long: seconds or 1m30s (600; 0: no end)' -x
complete -c berth -n '__fish_seen_subcommand_from rollback' -l message -s m -d 'what the change is for, kept in the history' -x
complete -c berth -n '__fish_seen_subcommand_from rollback' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from rollback' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from rollout; and test (count (commandline -opc)) -eq 2' -a promote -d 'Let an update go on: to the next step of a canary, or past a pause'
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from promote' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from promote' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from promote' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from promote' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from rollout; and test (count (commandline -opc)) -eq 2' -a pause -d 'Hold an update where it is, until it is promoted or aborted'
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from pause' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from pause' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from pause' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from pause' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from rollout; and test (count (commandline -opc)) -eq 2' -a abort -d 'Go back to the revision before the update'
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from abort' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from abort' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from abort' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from rollout; and __fish_seen_subcommand_from abort' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from history' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from history' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from history' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from history' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from history' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from follow' -l repo -d 'the repository: https://, ssh://, file:// or user@host:path' -x
complete -c berth -n '__fish_seen_subcommand_from follow' -l branch -d 'the branch (main)' -x
complete -c berth -n '__fish_seen_subcommand_from follow' -l tag -d 'in place of a branch the highest version among these tags, such as "v1.*"' -x
complete -c berth -n '__fish_seen_subcommand_from follow' -l path -d 'folder of the repository with the Compose file (its root)' -x
complete -c berth -n '__fish_seen_subcommand_from follow' -l file -s f -d 'Compose file in that folder; several are merged in order' -x
complete -c berth -n '__fish_seen_subcommand_from follow' -l env -s e -d 'a variable for the Compose file' -x
complete -c berth -n '__fish_seen_subcommand_from follow' -l profile -d 'services of this profile as well; "*" means all' -x
complete -c berth -n '__fish_seen_subcommand_from follow' -l interval -d 'how often to look (1m; from 10s to 24h)' -x
complete -c berth -n '__fish_seen_subcommand_from follow' -l on-request -d 'deploy nothing but by "berth sync"'
complete -c berth -n '__fish_seen_subcommand_from follow' -l correct -d 'take back what somebody changes by hand'
complete -c berth -n '__fish_seen_subcommand_from follow' -l signed-by -d 'only commits signed by a key of these files: lines of ssh\'s allowed_signers, armoured OpenPGP keys' -rF
complete -c berth -n '__fish_seen_subcommand_from follow' -l signed-by-secret -d 'the same with the keys in a secret' -xa '(begin; berth secret ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from follow' -l no-webhook -d 'do not look when the repository\'s host tells of a push'
complete -c berth -n '__fish_seen_subcommand_from follow' -l no-report -d 'do not tell the repository\'s host what became of a commit'
complete -c berth -n '__fish_seen_subcommand_from follow' -l compat -d 'what to do with attributes that Berth does not have (refuse)' -xa 'refuse warn'
complete -c berth -n '__fish_seen_subcommand_from follow' -l detach -s d -d 'do not wait'
complete -c berth -n '__fish_seen_subcommand_from follow' -l wait-timeout -d 'wait at most so long: seconds or 1m30s (600; 0: no end)' -x
complete -c berth -n '__fish_seen_subcommand_from follow' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from follow' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from unfollow' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from unfollow' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from sync' -l dry-run -d 'print what would change and why; change nothing'
complete -c berth -n '__fish_seen_subcommand_from sync' -l detach -s d -d 'do not wait'
complete -c berth -n '__fish_seen_subcommand_from sync' -l wait-timeout -d 'wait at most so long: seconds or 1m30s (600; 0: no end)' -x
complete -c berth -n '__fish_seen_subcommand_from sync' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from sync' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from config' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from config' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from config' -l env-file -d 'variables for the file, instead of .env' -rF
complete -c berth -n '__fish_seen_subcommand_from config' -l profile -d 'services of this profile as well; "*" means all' -x
complete -c berth -n '__fish_seen_subcommand_from config' -l project-directory -d 'what relative paths mean, instead of the first file\'s folder' -xa '(__fish_complete_directories)'
complete -c berth -n '__fish_seen_subcommand_from config' -l compat -d 'what to do with attributes that Berth does not have (refuse)' -xa 'refuse warn'
complete -c berth -n '__fish_seen_subcommand_from config' -l check -d 'refuse what Berth does not have, as "berth up" does'
complete -c berth -n '__fish_seen_subcommand_from config' -l services -d 'names of services only'
complete -c berth -n '__fish_seen_subcommand_from config' -l volumes -d 'names of volumes only'
complete -c berth -n '__fish_seen_subcommand_from config' -l networks -d 'names of networks only'
complete -c berth -n '__fish_seen_subcommand_from config' -l secrets -d 'names of secrets only'
complete -c berth -n '__fish_seen_subcommand_from config' -l configs -d 'names of configs only'
complete -c berth -n '__fish_seen_subcommand_from config' -l profiles -d 'names of profiles only'
complete -c berth -n '__fish_seen_subcommand_from config' -l images -d 'images only'
complete -c berth -n '__fish_seen_subcommand_from config' -l hash -d 'a hash of the service, or of each with "*"' -x
complete -c berth -n '__fish_seen_subcommand_from config' -l format -d 'JSON is what is printed' -x
complete -c berth -n '__fish_seen_subcommand_from config' -l quiet -s q -d 'only check'
complete -c berth -n '__fish_seen_subcommand_from config' -rF
complete -c berth -n '__fish_seen_subcommand_from ls' -l all-namespaces -s A -d 'of all namespaces'
complete -c berth -n '__fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from ps' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from ps' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from ps' -l all -s a -d 'of all apps, not only of the current folder\'s project'
complete -c berth -n '__fish_seen_subcommand_from ps' -l all-namespaces -s A -d 'of all namespaces'
complete -c berth -n '__fish_seen_subcommand_from ps' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from ps' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from ps' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from inspect' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from inspect' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from inspect' -l format -d 'JSON is what is printed' -x
complete -c berth -n '__fish_seen_subcommand_from inspect' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from logs' -l file -d 'Compose file that names the project' -rF
complete -c berth -n '__fish_seen_subcommand_from logs' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from logs' -l all -s a -d 'of all apps, not only of the current folder\'s project'
complete -c berth -n '__fish_seen_subcommand_from logs' -l follow -s f -d 'go on with what comes, and with instances that come'
complete -c berth -n '__fish_seen_subcommand_from logs' -l tail -d 'the last N lines of each instance (all)' -x
complete -c berth -n '__fish_seen_subcommand_from logs' -l since -d 'from this time on: RFC 3339, or 10m for ten minutes ago' -x
complete -c berth -n '__fish_seen_subcommand_from logs' -l timestamps -s t -d 'the time in front of each line'
complete -c berth -n '__fish_seen_subcommand_from logs' -l no-prefix -d 'the lines alone'
complete -c berth -n '__fish_seen_subcommand_from logs' -l format -d 'how to print; as JSON an object a line' -xa 'text json'
complete -c berth -n '__fish_seen_subcommand_from logs' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from exec' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from exec' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from exec' -l interactive -s i -d 'pass standard input on'
complete -c berth -n '__fish_seen_subcommand_from exec' -l tty -s t -d 'give the command a terminal'
complete -c berth -n '__fish_seen_subcommand_from exec' -l user -s u -d 'as this user' -x
complete -c berth -n '__fish_seen_subcommand_from exec' -l workdir -s w -d 'in this folder' -x
complete -c berth -n '__fish_seen_subcommand_from exec' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from top' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from top' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from top' -l all -s a -d 'of all apps, not only of the current folder\'s project'
complete -c berth -n '__fish_seen_subcommand_from top' -l once -d 'print once and end'
complete -c berth -n '__fish_seen_subcommand_from top' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from top' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from events' -l follow -s f -d 'go on with what happens'
complete -c berth -n '__fish_seen_subcommand_from events' -l type -d 'only of this type, such as "instance.*"' -x
complete -c berth -n '__fish_seen_subcommand_from events' -l after -d 'only later ones' -x
complete -c berth -n '__fish_seen_subcommand_from events' -l all-namespaces -s A -d 'of all namespaces'
complete -c berth -n '__fish_seen_subcommand_from events' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from events' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from why' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from why' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from why' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from why' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and test (count (commandline -opc)) -eq 2' -a ls -d 'List the services that scale by themselves, and why they have as many instances'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from ls' -l all-namespaces -s A -d 'of all namespaces'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and test (count (commandline -opc)) -eq 2' -a apply -d 'Put the reservations in force that a service\'s use recommends'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from apply' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from apply' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from apply' -l dry-run -d 'print what would change and why; change nothing'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from apply' -l detach -s d -d 'do not wait'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from apply' -l wait-timeout -d 'wait at most so long: seconds or 1m30s (600; 0: no end)' -x
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from apply' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from autoscale; and __fish_seen_subcommand_from apply' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from job; and test (count (commandline -opc)) -eq 2' -a ls -d 'List the jobs that recur: when they run next, and how their last run ended'
complete -c berth -n '__fish_seen_subcommand_from job; and __fish_seen_subcommand_from ls' -l all-namespaces -s A -d 'of all namespaces'
complete -c berth -n '__fish_seen_subcommand_from job; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from job; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from job; and test (count (commandline -opc)) -eq 2' -a run -d 'Run a job now'
complete -c berth -n '__fish_seen_subcommand_from job; and __fish_seen_subcommand_from run' -l file -s f -d 'Compose file; several are merged in order' -rF
complete -c berth -n '__fish_seen_subcommand_from job; and __fish_seen_subcommand_from run' -l project-name -s p -d 'app, instead of the current folder\'s project' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from job; and __fish_seen_subcommand_from run' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from job; and __fish_seen_subcommand_from run' -xa '(begin; berth ls -q; berth config --services; berth ps -q --all; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from secret; and test (count (commandline -opc)) -eq 2' -a ls -d 'List secrets; never their values'
complete -c berth -n '__fish_seen_subcommand_from secret; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from secret; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from secret; and test (count (commandline -opc)) -eq 2' -a put -d 'Store a secret from a file or standard input'
complete -c berth -n '__fish_seen_subcommand_from secret; and __fish_seen_subcommand_from put' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from secret; and __fish_seen_subcommand_from put' -xa '(begin; berth secret ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from secret; and test (count (commandline -opc)) -eq 2' -a rm -d 'Remove secrets'
complete -c berth -n '__fish_seen_subcommand_from secret; and __fish_seen_subcommand_from rm' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from secret; and __fish_seen_subcommand_from rm' -xa '(begin; berth secret ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from route; and test (count (commandline -opc)) -eq 2' -a ls -d 'List routes: ways in for outside traffic'
complete -c berth -n '__fish_seen_subcommand_from route; and __fish_seen_subcommand_from ls' -l all-namespaces -s A -d 'of all namespaces'
complete -c berth -n '__fish_seen_subcommand_from route; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from route; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from volume; and test (count (commandline -opc)) -eq 2' -a ls -d 'List volumes'
complete -c berth -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from volume; and test (count (commandline -opc)) -eq 2' -a rm -d 'Remove volumes that no instance uses: their data is lost'
complete -c berth -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from rm' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from volume; and __fish_seen_subcommand_from rm' -xa '(begin; berth volume ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from network; and test (count (commandline -opc)) -eq 2' -a ls -d 'List networks'
complete -c berth -n '__fish_seen_subcommand_from network; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from network; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from network; and test (count (commandline -opc)) -eq 2' -a rm -d 'Remove networks that no instance uses'
complete -c berth -n '__fish_seen_subcommand_from network; and __fish_seen_subcommand_from rm' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from network; and __fish_seen_subcommand_from rm' -xa '(begin; berth network ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from image; and test (count (commandline -opc)) -eq 2' -a ls -d 'List the images that the node has'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from image; and test (count (commandline -opc)) -eq 2' -a pull -d 'Pull an image to the node'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from pull' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from pull' -l platform -d 'for another platform than the machine\'s' -x
complete -c berth -n '__fish_seen_subcommand_from image; and test (count (commandline -opc)) -eq 2' -a import -d 'Import images from a file or folder'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from import' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from import' -rF
complete -c berth -n '__fish_seen_subcommand_from image; and test (count (commandline -opc)) -eq 2' -a load -d 'Import images from standard input, or FILE'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from load' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from load' -rF
complete -c berth -n '__fish_seen_subcommand_from image; and test (count (commandline -opc)) -eq 2' -a rm -d 'Remove names of images, and images with their last name'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from rm' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from image; and test (count (commandline -opc)) -eq 2' -a prune -d 'Remove images that no container uses'
complete -c berth -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from prune' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from source; and test (count (commandline -opc)) -eq 2' -a ls -d 'List the repositories that apps follow, and how the apps stand to them'
complete -c berth -n '__fish_seen_subcommand_from source; and __fish_seen_subcommand_from ls' -l all-namespaces -s A -d 'of all namespaces'
complete -c berth -n '__fish_seen_subcommand_from source; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from source; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from source; and test (count (commandline -opc)) -eq 2' -a inspect -d 'Print all that is known of an app\'s repository as JSON'
complete -c berth -n '__fish_seen_subcommand_from source; and __fish_seen_subcommand_from inspect' -l format -d 'JSON is what is printed' -x
complete -c berth -n '__fish_seen_subcommand_from source; and __fish_seen_subcommand_from inspect' -xa '(begin; berth ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from node; and test (count (commandline -opc)) -eq 2' -a cordon -d 'Let nodes take no new instances; they run on'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from cordon' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from cordon' -xa '(begin; berth node ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from node; and test (count (commandline -opc)) -eq 2' -a uncordon -d 'Let nodes take instances again'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from uncordon' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from uncordon' -xa '(begin; berth node ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from node; and test (count (commandline -opc)) -eq 2' -a drain -d 'Move all instances of nodes away; they take no new ones'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from drain' -l timeout -d 'how long jobs may run on there (the server\'s: 10m)' -x
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from drain' -l wait -d 'until nothing is there any more'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from drain' -l wait-timeout -d 'wait at most so long: seconds or 1m30s (600; 0: no end)' -x
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from drain' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from drain' -xa '(begin; berth node ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from node; and test (count (commandline -opc)) -eq 2' -a ls -d 'List nodes'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from pool; and test (count (commandline -opc)) -eq 2' -a ls -d 'List pools of nodes, and what is reserved there'
complete -c berth -n '__fish_seen_subcommand_from pool; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from pool; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from quota; and test (count (commandline -opc)) -eq 2' -a ls -d 'List what namespaces may use, and use'
complete -c berth -n '__fish_seen_subcommand_from quota; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from quota; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from node; and test (count (commandline -opc)) -eq 2' -a inspect -d 'Print all that is known of a node as JSON'
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from inspect' -l format -d 'JSON is what is printed' -x
complete -c berth -n '__fish_seen_subcommand_from node; and __fish_seen_subcommand_from inspect' -xa '(begin; berth node ls -q; end 2>/dev/null)'
complete -c berth -n '__fish_seen_subcommand_from doctor' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from doctor' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from plugin; and test (count (commandline -opc)) -eq 2' -a ls -d 'List plug-ins'
complete -c berth -n '__fish_seen_subcommand_from plugin; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from plugin; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from plugin; and test (count (commandline -opc)) -eq 2' -a new -d 'Make a folder for a new plug-in, which builds with one command'
complete -c berth -n '__fish_seen_subcommand_from plugin; and __fish_seen_subcommand_from new' -l interface -d 'what kind of product it joins to Berth' -xa 'chat lb monitor registry runtime scm'
complete -c berth -n '__fish_seen_subcommand_from plugin; and __fish_seen_subcommand_from new' -l language -d 'what it is written in (c)' -xa 'c python lua'
complete -c berth -n '__fish_seen_subcommand_from plugin; and __fish_seen_subcommand_from new' -l dir -d 'make it here (./NAME)' -xa '(__fish_complete_directories)'
complete -c berth -n '__fish_seen_subcommand_from plugin; and __fish_seen_subcommand_from new' -l license -d 'its license (MIT)' -x
complete -c berth -n '__fish_seen_subcommand_from plugin; and __fish_seen_subcommand_from new' -l template -d 'templates of your own, instead of those that are installed' -xa '(__fish_complete_directories)'
complete -c berth -n '__fish_seen_subcommand_from plugin; and __fish_seen_subcommand_from new' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from policy; and test (count (commandline -opc)) -eq 2' -a ls -d 'List policies'
complete -c berth -n '__fish_seen_subcommand_from policy; and __fish_seen_subcommand_from ls' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from policy; and __fish_seen_subcommand_from ls' -l quiet -s q -d 'names only, one a line'
complete -c berth -n '__fish_seen_subcommand_from policy; and test (count (commandline -opc)) -eq 2' -a test -d 'Run the tests beside the policies of a folder (this one)'
complete -c berth -n '__fish_seen_subcommand_from policy; and __fish_seen_subcommand_from test' -l format -d 'how to print' -xa 'table json'
complete -c berth -n '__fish_seen_subcommand_from policy; and __fish_seen_subcommand_from test' -xa '(__fish_complete_directories)'
complete -c berth -n '__fish_seen_subcommand_from completion' -xa 'bash zsh fish'
complete -c berth -n '__fish_seen_subcommand_from version' -l format -d 'how to print' -xa 'table json'
