/* A prompt on the console, for whoever types there: the serial console of the page is tried with it. Costs nothing while nobody types. */
#ifndef GUEST_PROMPT_H
#define GUEST_PROMPT_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void prompt_answer(const char *line)
{
    struct timespec up;
    if (!strcmp(line, "uptime")) {
        clock_gettime(CLOCK_BOOTTIME, &up);
        printf("up %lld s\n", (long long)up.tv_sec);
    } else if (!strcmp(line, "help")) {
        printf("uptime, or anything: it is said back\n");
    } else if (line[0] != '\0') {
        printf("you said: %s\n", line);
    }
    printf("guest> ");
    fflush(stdout);
}

static void *prompt_run(void *unused)
{
    char line[200];
    (void)unused;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\r\n")] = '\0';
        prompt_answer(line);
    }
    return NULL; /* no console that can be read */
}

static void prompt_start(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, prompt_run, NULL) == 0)
        pthread_detach(thread);
}

#endif
