// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The places of the programs that a filtered frame goes through. Plain C. */
#ifndef CAROM_BPF_STAGES_H
#define CAROM_BPF_STAGES_H

enum stage {
  STAGE_FILTER,   /* made at run time: goes on to one of the others */
  STAGE_WANTED,   /* as if there were no filter */
  STAGE_UNWANTED, /* counts and drops */
  STAGES,
};

#endif
