// Readline's callback interface under select, so that Ctrl-C at the prompt gives the line up and nothing else.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>
#include <readline/readline.h>
#include <readline/history.h>
#include "include/CReadline.h"

static nnr_completer completer;
static void *completer_context;
static volatile sig_atomic_t pressed;
static char *received;
static int is_done;

// MARK: completion

char **nnr_list(int count) { return calloc((size_t)count + 1, sizeof(char *)); }

void nnr_list_set(char **list, int index, const char *text) {
  if (list) list[index] = strdup(text);
}

void nnr_set_completer(nnr_completer function, void *context) {
  completer = function;
  completer_context = context;
}

static void free_list(char **list) {
  for (char **at = list; at && *at; at++) free(*at);
  free(list);
}

// The part that all strings share becomes the first entry, as readline wants it.
static char *common_prefix(char **list) {
  size_t length = strlen(list[0]);
  for (char **at = list + 1; *at; at++) {
    size_t same = 0;
    while (same < length && list[0][same] == (*at)[same]) same++;
    length = same;
  }
  return strndup(list[0], length);
}

static char **attempt(const char *text, int start, int end) {
  (void)text;
  rl_attempted_completion_over = 1; // no file names unless the session offers them
  rl_completion_append_character = '\0';
  if (!completer) return NULL;
  int from = end;
  char **candidates = completer(completer_context, rl_line_buffer, end, &from);
  int count = 0;
  while (candidates && candidates[count]) count++;
  if (count == 0) {
    free_list(candidates);
    return NULL;
  }
  // Readline replaces from `start`; the session's candidates replace from `from`.
  char **matches = calloc((size_t)count + 2, sizeof(char *));
  int kept = from > start ? from - start : 0;
  for (int i = 0; matches && i < count; i++) {
    int skipped = from < start ? start - from : 0;
    const char *rest = candidates[i] + ((int)strlen(candidates[i]) > skipped ? skipped : 0);
    size_t size = (size_t)kept + strlen(rest) + 1;
    matches[i + 1] = malloc(size);
    if (matches[i + 1]) snprintf(matches[i + 1], size, "%.*s%s", kept, rl_line_buffer + start, rest);
  }
  free_list(candidates);
  if (!matches || !matches[1]) return NULL;
  matches[0] = common_prefix(matches + 1);
  return matches;
}

// MARK: reading

static void on_line(char *line) {
  received = line;
  is_done = 1;
  rl_callback_handler_remove();
}

static void on_interrupt(int number) {
  (void)number;
  pressed = 1;
}

static void set_up(void) {
  static int is_set_up;
  if (is_set_up) return;
  is_set_up = 1;
  rl_readline_name = "lunette";
  rl_attempted_completion_function = attempt;
  rl_basic_word_break_characters = " \t\n\"'`@$><=;|&{(,+-*/^%#~[])}";
  rl_completer_word_break_characters = rl_basic_word_break_characters;
  rl_completer_quote_characters = "";
  stifle_history(5000);
}

static void give_up_line(void) {
  FILE *out = rl_outstream ? rl_outstream : stdout;
  fputs("^C\n", out);
  fflush(out);
  rl_callback_sigcleanup();
  rl_free_line_state();
  rl_callback_handler_remove();
}

int nnr_read(const char *prompt, char **line) {
  set_up();
  struct sigaction action, old;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_interrupt; // without SA_RESTART: select must return
  sigemptyset(&action.sa_mask);
  pressed = 0;
  is_done = 0;
  received = NULL;
  sigaction(SIGINT, &action, &old);
  rl_callback_handler_install(prompt, on_line);
  int outcome = NNR_LINE;
  while (!is_done && outcome == NNR_LINE) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(STDIN_FILENO, &set);
    int ready = select(STDIN_FILENO + 1, &set, NULL, NULL, NULL);
    if (pressed) outcome = NNR_INTERRUPTED;
    else if (ready > 0) rl_callback_read_char();
    else if (ready < 0 && errno != EINTR) outcome = NNR_END;
    if (pressed && !is_done) outcome = NNR_INTERRUPTED;
  }
  if (outcome == NNR_INTERRUPTED) give_up_line();
  else if (!received) outcome = NNR_END;
  sigaction(SIGINT, &old, NULL);
  *line = received;
  return outcome;
}

const char *nnr_version(void) { return rl_library_version; }
void nnr_remember(const char *entry) { add_history(entry); }
void nnr_free(char *line) { free(line); }
